/** When a page cannot be had: what it means for the person, and a number for whoever looks into it. Never the cause. */
import { type PortalContext, words } from '../context.ts';
import { LOCALES, type Locale } from '../language/locale.ts';
import { page } from '../layout.tsx';

export function problemPage(c: PortalContext, status: 403 | 413 | 500, reference = '') {
  // the fault may have come before the language was known
  c.set('locale', (c.get('locale') as Locale | undefined) ?? LOCALES[0]);
  const { t } = words(c);
  const title = status === 403 ? t.problem.forbiddenTitle : t.problem.title;
  const text = { 403: t.problem.forbiddenText, 413: t.problem.tooLarge, 500: t.problem.text }[status];
  return page(
    c,
    { title, narrow: true, status, back: '/' },
    <>
      <h1 class="mb-3">{title}</h1>
      <p>{text}</p>
      {reference && <p class="mt-3 font-mono text-sm">{reference}</p>}
    </>,
  );
}
