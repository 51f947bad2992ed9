/** The page of an error: what it means for the person, and a reference for support. It never shows the cause. */

import { LOCALES, type Locale } from '../../i18n/locale.ts';
import { type PortalContext, words } from './context.ts';
import { page } from './layout.tsx';

type Problem = 403 | 405 | 413 | 500 | 'role' | 'second_factor' | 'suspended';

/** @param reference names the error in the logs; empty: none is shown */
export function problemPage(c: PortalContext, problem: Problem, reference = '') {
  // the error may have come before the language was set
  c.set('locale', (c.get('locale') as Locale | undefined) ?? LOCALES[0]);
  const { t } = words(c);
  const texts = {
    403: [t.problem.forbiddenTitle, t.problem.forbiddenText],
    405: [t.problem.refusedTitle, t.problem.method],
    413: [t.problem.refusedTitle, t.problem.tooLarge],
    500: [t.problem.title, t.problem.text],
    role: [t.problem.roleTitle, t.problem.roleText],
    second_factor: [t.problem.secondFactorTitle, t.problem.secondFactorText],
    suspended: [t.problem.suspendedTitle, t.problem.suspendedText],
  } as const;
  const [title, text] = texts[problem];
  return page(
    c,
    { title, narrow: true, status: typeof problem === 'number' ? problem : 403, back: '/' },
    <>
      <h1 class="mb-3">{title}</h1>
      <p>{text}</p>
      {problem === 'second_factor' && (
        <p class="mt-6">
          <a class="btn btn-primary" href="/settings#second-factor">
            {t.problem.secondFactorLink}
          </a>
        </p>
      )}
      {problem === 'role' && (
        <p class="mt-6">
          <a class="btn" href="/team">
            {t.problem.roleLink}
          </a>
        </p>
      )}
      {reference && <p class="mt-3 font-mono text-sm">{reference}</p>}
    </>,
  );
}
