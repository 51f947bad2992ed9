/** /privacy and /terms. Their texts are in worker/i18n/legal/; the times of the retention table are those that the code keeps. */
import { Hono } from 'hono';
import { RETENTION_DAYS, type RetainedKind } from '../../domain/retention.ts';
import { config } from '../../env.ts';
import { legalEn } from '../../i18n/legal/en.ts';
import { legalFr } from '../../i18n/legal/fr.ts';
import type { LegalSection, LegalTexts, Operator } from '../../i18n/legal/texts.ts';
import type { Locale } from '../../i18n/locale.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';

const TEXTS: Readonly<Record<Locale, LegalTexts>> = { en: legalEn, fr: legalFr };

export const legalPage = new Hono<PortalEnv>();

legalPage.get('/privacy', (c) => {
  const { privacy, retention } = textsOf(c);
  return page(
    c,
    { title: privacy.title, narrow: true },
    <>
      <h1 class="mb-3">{privacy.title}</h1>
      <p class="mb-8">{privacy.lead}</p>
      <Sections sections={privacy.sections(operatorOf(c))} />
      <Retention texts={retention} />
    </>,
  );
});

legalPage.get('/terms', (c) => {
  const { terms } = textsOf(c);
  return page(
    c,
    { title: terms.title, narrow: true },
    <>
      <h1 class="mb-3">{terms.title}</h1>
      <p class="mb-8">{terms.lead}</p>
      <Sections sections={terms.sections(operatorOf(c))} />
    </>,
  );
});

/** The sentence under a form that creates an account, with links to both pages. */
export function AcceptNote({ c }: { c: PortalContext }) {
  const [before, terms, between, privacy, after] = textsOf(c).accept;
  return (
    <p class="muted mt-6 text-sm">
      {before}
      <a class="link" href="/terms">
        {terms}
      </a>
      {between}
      <a class="link" href="/privacy">
        {privacy}
      </a>
      {after}
    </p>
  );
}

function textsOf(c: PortalContext): LegalTexts {
  return TEXTS[words(c).locale];
}

function operatorOf(c: PortalContext): Operator {
  const { seller, contactEmail } = config(c.env);
  return { name: seller[0]!, address: seller.join(', '), contactEmail };
}

function Sections({ sections }: { sections: readonly LegalSection[] }) {
  return (
    <>
      {sections.map(({ title, paragraphs }) => (
        <section class="mb-8">
          <h2 class="mb-2">{title}</h2>
          {paragraphs.map((paragraph) => (
            <p class="mb-3 break-words">{paragraph}</p>
          ))}
        </section>
      ))}
    </>
  );
}

function Retention({ texts }: { texts: LegalTexts['retention'] }) {
  const kinds = Object.entries(RETENTION_DAYS) as [RetainedKind, number][];
  const rows = [
    ...kinds.map(([kind, days]) => ({ ...texts.kinds[kind], term: texts.days(days) })),
    ...texts.others,
  ];
  return (
    <section aria-labelledby="retention">
      <h2 id="retention" class="mb-2">
        {texts.title}
      </h2>
      <p class="mb-3">{texts.lead}</p>
      <Sheet label={texts.title}>
        <Heads names={[texts.what, texts.term, texts.why]} />
        <tbody>
          {rows.map(({ what, term, why }) => (
            <tr>
              <td class="min-w-48 whitespace-normal">{what}</td>
              <td class="min-w-24 whitespace-normal">{term}</td>
              <td class="min-w-44 whitespace-normal">{why}</td>
            </tr>
          ))}
        </tbody>
      </Sheet>
    </section>
  );
}
