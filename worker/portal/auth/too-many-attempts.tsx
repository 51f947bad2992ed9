/** The page of an attempt that has to wait, where there is no form to show again. */
import { TooManyAttempts } from '../components/too-many-attempts.tsx';
import type { PortalContext } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';

export function tooManyAttemptsPage(c: PortalContext, title: string, waitMs: number) {
  return page(
    c,
    { title, narrow: true, status: 429, back: '/' },
    <>
      <h1 class="mb-6">{title}</h1>
      <TooManyAttempts c={c} waitMs={waitMs} />
    </>,
  );
}
