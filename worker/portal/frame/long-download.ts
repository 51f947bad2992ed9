/** Downloads that take long: each is passed on only while the person may still read what it holds. */
import { database } from '../../db/client.ts';
import { mayStillRead } from '../../db/standing.ts';
import type { Area } from '../../domain/team.ts';
import type { PortalContext } from './context.ts';

/** How often the standing is read again: half of the ten seconds within which every lost right ends. */
const CHECK_EVERY_MS = 5_000;

/** Passes the body on, and breaks it off once the session has ended, or the role or the account is lost. */
export function whileAllowed(
  c: PortalContext,
  area: Area,
  body: ReadableStream<Uint8Array>,
): ReadableStream<Uint8Array> {
  const db = database(c.env);
  const reader = {
    accountId: c.get('accountId'),
    personId: c.get('person')!.id,
    sessionId: c.get('sessionId'),
  };
  let checkedAtMs = Date.now();
  const guard = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      const nowMs = Date.now();
      if (Math.abs(nowMs - checkedAtMs) >= CHECK_EVERY_MS) {
        checkedAtMs = nowMs;
        if (!(await mayStillRead(db, { ...reader, area, nowMs })))
          return controller.error(new Error('no right'));
      }
      controller.enqueue(chunk);
    },
  });
  return body.pipeThrough(guard);
}
