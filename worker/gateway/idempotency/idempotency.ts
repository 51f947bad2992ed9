/**
 * Idempotency-Key: a repeated request with the same key and body gets the same response, which is streamed again and never
 * billed twice. The Wallet knows the state of the first request; its response is stored sealed, so that only its caller can
 * read it again.
 */
import type { Env } from '../../env.ts';
import type { IdempotentRun, IdempotentStart, KeyedRequest } from './idempotent-run.ts';

const UNKEYED: IdempotentRun = { recorder: null, abandon: async () => undefined };

/** A request without a key always runs. Few requests have one, so the first that does loads the code that seals and replays. */
export async function beginIdempotent(env: Env, request: KeyedRequest): Promise<IdempotentStart> {
  const idempotencyKey = request.headers.get('idempotency-key');
  if (idempotencyKey === null) return { kind: 'run', run: UNKEYED };
  const { beginKeyed } = await import('./keyed.ts');
  return beginKeyed(env, idempotencyKey, request);
}
