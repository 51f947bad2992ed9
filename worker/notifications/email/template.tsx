/** The template of every e-mail: the same content as plain text and as HTML, in one language or in several. */
import type { Locale } from '../../i18n/locale.ts';
import type { Email } from './email.ts';

export interface EmailContent {
  readonly locale: Locale;
  readonly title: string;
  readonly paragraphs: readonly string[];
  /** the page that the e-mail asks to open; null: none */
  readonly link: { readonly text: string; readonly url: string } | null;
  /** why it was sent, and what to do when it was not expected */
  readonly small: string;
}

/** Renders an e-mail. The language of the first part is declared as that of the whole. */
export function renderEmail(parts: readonly EmailContent[]): Omit<Email, 'to'> {
  return {
    subject: `Tollgate: ${[...new Set(parts.map(({ title }) => title))].join(' / ')}`,
    text: parts.map(plain).join('\n\n---\n\n'),
    html: `<!doctype html>${String(<Html parts={parts} />)}`,
  };
}

function plain({ title, paragraphs, link, small }: EmailContent): string {
  const lines = [title, ...paragraphs, ...(link ? [`${link.text}\n${link.url}`] : []), small];
  return lines.join('\n\n');
}

/** Styles are inline, because many mail clients drop style sheets. */
const PAGE =
  'margin:0;padding:24px;background:#f4f3ef;color:#1c1f1d;font:16px/1.55 system-ui,-apple-system,Segoe UI,sans-serif';
const SHEET = 'max-width:560px;margin:0 auto 16px;padding:28px 32px;background:#ffffff;border-radius:8px';
const TITLE = 'margin:0 0 16px;font-size:22px;line-height:1.3';
const BUTTON =
  'display:inline-block;padding:10px 18px;background:#1d4a3d;color:#ffffff;border-radius:6px;text-decoration:none';
const SMALL = 'margin:24px 0 0;color:#5b605d;font-size:13px';

function Html({ parts }: { parts: readonly EmailContent[] }) {
  return (
    <html lang={parts[0]!.locale}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{parts[0]!.title}</title>
      </head>
      <body style={PAGE}>
        {parts.map(({ locale, title, paragraphs, link, small }) => (
          <div lang={locale} style={SHEET}>
            <h1 style={TITLE}>{title}</h1>
            {paragraphs.map((text) => (
              <p>{text}</p>
            ))}
            {link && (
              <>
                <p>
                  <a href={link.url} style={BUTTON} target="_blank" rel="noopener">
                    {link.text}
                  </a>
                </p>
                <p style="word-break:break-all;font-size:13px">{link.url}</p>
              </>
            )}
            <p style={SMALL}>{small}</p>
          </div>
        ))}
      </body>
    </html>
  );
}
