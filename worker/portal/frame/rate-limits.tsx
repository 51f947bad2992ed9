/** Rate limits of the portal: every form is counted, whatever page it belongs to, and so are downloads. */
import { createMiddleware } from 'hono/factory';
import { isWrite, rateHeaders } from '../../http/write-limit.ts';
import { type Attempt, clientAddress, takeAttempt } from '../../rate-limits/attempts.ts';
import { type PortalContext, type PortalEnv, words } from './context.ts';
import { page } from './layout.tsx';

/** Counts every form under the person's limits, or a visitor's under those of their network. */
export const limitForms = createMiddleware<PortalEnv>(async function limitForms(c, next) {
  if (!isWrite(c.req.method)) return next();
  const person = c.get('person');
  const refusal = await refuseBeyondLimit(
    c,
    person === null
      ? [{ rule: 'form_network', subject: clientAddress(c.req.raw.headers) }]
      : [
          { rule: 'form_person', subject: person.id },
          { rule: 'form_person_day', subject: person.id },
        ],
  );
  if (refusal !== null) return refusal;
  await next();
});

/** Counts a form under the limit that the members of an account share. @returns the page of a form beyond it; null: go on */
export async function limitAccountForms(c: PortalContext, accountId: string): Promise<Response | null> {
  return isWrite(c.req.method) ? refuseBeyondLimit(c, [{ rule: 'form_account', subject: accountId }]) : null;
}

/** Counts a download, which costs more than a page. Needs a person. */
export const limitDownloads = createMiddleware<PortalEnv>(async function limitDownloads(c, next) {
  const refusal = await refuseBeyondLimit(c, [{ rule: 'download_person', subject: c.get('person')!.id }]);
  if (refusal !== null) return refusal;
  await next();
});

async function refuseBeyondLimit(c: PortalContext, attempts: readonly Attempt[]): Promise<Response | null> {
  const { allowed, retryAfterMs, state } = await takeAttempt(c.env, attempts, Date.now());
  if (state !== null) for (const [name, value] of Object.entries(rateHeaders(state))) c.header(name, value);
  if (allowed) return null;
  c.header('Retry-After', String(Math.ceil(retryAfterMs / 1000)));
  const { t, f } = words(c);
  return page(
    c,
    { title: t.problem.tooManyTitle, narrow: true, status: 429, back: '/' },
    <>
      <h1 class="mb-3">{t.problem.tooManyTitle}</h1>
      <p role="alert">{t.problem.tooManyText(f.duration(retryAfterMs))}</p>
    </>,
  );
}
