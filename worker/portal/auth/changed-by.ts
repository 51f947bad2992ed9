/** The signed-in person of a request, as identity/ needs them for a change of how they sign in. */
import type { ChangedBy } from '../../identity/credentials.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function changedBy(c: PortalContext): ChangedBy {
  return {
    person: c.get('person')!,
    sessionId: c.get('sessionId'),
    locale: words(c).locale,
    headers: c.req.raw.headers,
    nowMs: Date.now(),
  };
}
