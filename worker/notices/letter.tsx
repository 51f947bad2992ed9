/**
 * A notice as an e-mail, in plain text and HTML. Nobody's language is known where a notice is written, so it is said in
 * each of the portal's, the first of them first. Names that customers give to things are left out: addresses are not
 * verified, and a stranger's inbox is no place for text that somebody else chose.
 */
import { database } from '../db/client.ts';
import { findKey } from '../db/keys.ts';
import { maskedApiKey } from '../domain/api-key.ts';
import type { Notification } from '../domain/notice.ts';
import { config, type Env } from '../env.ts';
import { formats } from '../portal/language/formats.ts';
import { LOCALES, type Locale, MESSAGES } from '../portal/language/locale.ts';
import type { Letter } from './mailer.ts';
import { type NoticeWords, noticeWords } from './words.ts';

interface Part extends NoticeWords {
  readonly locale: Locale;
}

export async function writeLetter(env: Env, notification: Notification): Promise<Omit<Letter, 'to'>> {
  const { notice, accountId } = notification;
  const key =
    notice.kind === 'cap.used' && notice.keyId !== null
      ? await findKey(database(env), { accountId, keyId: notice.keyId })
      : null;
  const keyLabel = key && maskedApiKey(key.lastFour);
  const parts = LOCALES.map((locale): Part => {
    const language = { t: MESSAGES[locale], f: formats(locale) };
    return { locale, ...noticeWords(notice, language, keyLabel) };
  });
  const { publicOrigin } = config(env);
  return {
    subject: `Tollgate: ${[...new Set(parts.map(({ title }) => title))].join(' / ')}`,
    text: parts.map((part) => plain(part, publicOrigin)).join('\n\n---\n\n'),
    html: `<!doctype html>${String(<Html parts={parts} origin={publicOrigin} />)}`,
  };
}

function plain({ locale, title, text, path }: Part, origin: string): string {
  const { letterLink, letterWhy } = MESSAGES[locale].alerts;
  return `${title}\n\n${text}\n\n${letterLink} ${origin}${path}\n\n${letterWhy} ${origin}/alerts`;
}

function Html({ parts, origin }: { parts: readonly Part[]; origin: string }) {
  return (
    <html lang={parts[0]!.locale}>
      <head>
        <meta charset="utf-8" />
        <title>{parts[0]!.title}</title>
      </head>
      <body>
        {parts.map(({ locale, title, text, path }) => {
          const { letterLink, letterWhy } = MESSAGES[locale].alerts;
          return (
            <div lang={locale}>
              <h1>{title}</h1>
              <p>{text}</p>
              <p>
                {letterLink} <a href={origin + path}>{origin + path}</a>
              </p>
              <p>
                <small>
                  {letterWhy} <a href={`${origin}/alerts`}>{`${origin}/alerts`}</a>
                </small>
              </p>
              <hr />
            </div>
          );
        })}
      </body>
    </html>
  );
}
