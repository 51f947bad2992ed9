/**
 * Idempotency-Key: the same key and body give the same answer, streamed again, never billed twice. The Wallet knows
 * what became of the first attempt; the answer is kept sealed, so that only its caller can have it again.
 */

import type { IdempotentWork } from '../../domain/wallet.ts';
import type { Env } from '../../env.ts';
import type { ApiError } from '../../http/api-error.ts';
import type { Principal } from '../../http/authenticate.ts';
import { describeError } from '../../lib/describe-error.ts';
import type { ClientChunk } from '../stream/client-chunk.ts';
import { AnswerRecorder, sealFor, unseal } from './sealed-response.ts';

/** Long enough for any UUID with a prefix, short enough to be no payload. */
const KEY_SHAPE = /^[\x21-\x7e]{1,255}$/;
/** When to ask again for an answer that is still being given. */
const RETRY_RUNNING_MS = 1_000;

/** How the work is tied to its key: wrap the answer, or say that there will be none. */
export interface Once {
  /** Passes the pieces on and keeps them when the answer became whole. */
  keeping(pieces: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void>;
  abandon(): Promise<void>;
}

export type Begun =
  | { kind: 'work'; once: Once }
  | { kind: 'replay'; requestId: string; body: ReadableStream<Uint8Array> }
  | { kind: 'refusal'; refusal: ApiError };

const UNKEYED: Once = { keeping: (pieces) => pieces, abandon: async () => undefined };

export async function beginOnce(
  env: Env,
  request: {
    headers: Headers;
    bytes: Uint8Array;
    principal: Principal;
    requestId: string;
    waitUntil: (promise: Promise<unknown>) => void;
  },
): Promise<Begun> {
  const idempotencyKey = request.headers.get('idempotency-key');
  if (idempotencyKey === null) return { kind: 'work', once: UNKEYED };
  if (!KEY_SHAPE.test(idempotencyKey)) {
    const message = '`Idempotency-Key`: must be 1 to 255 visible ASCII characters, such as a UUID.';
    return { kind: 'refusal', refusal: { reason: 'invalid_field', param: 'Idempotency-Key', message } };
  }
  const { principal, requestId, bytes, waitUntil } = request;
  const { accountId, secret } = principal;
  const seal = await sealFor(env, { accountId, secret, idempotencyKey, body: bytes });
  const work: IdempotentWork = { lookup: seal.lookup, fingerprint: seal.fingerprint, requestId };
  const wallet = env.WALLET.getByName(accountId);
  const begun = await wallet.begin(work);
  switch (begun.state) {
    case 'replay':
      return { kind: 'replay', requestId: begun.requestId, body: await unseal(seal, begun.parts) };
    case 'running':
      return { kind: 'refusal', refusal: { reason: 'idempotency_running', retryAfterMs: RETRY_RUNNING_MS } };
    case 'mismatch':
    case 'exhausted':
      return { kind: 'refusal', refusal: { reason: `idempotency_${begun.state}` } };
    case 'fresh':
      break;
  }

  const abandon = () => wallet.abandon(work);
  async function* keeping(pieces: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void> {
    const recorder = new AnswerRecorder();
    let whole = false;
    for await (const piece of pieces) {
      if (piece.kind === 'text') {
        recorder.write(piece.text);
        whole = piece.last;
      }
      yield piece;
    }
    // not awaited: the client has its answer; a retry that comes meanwhile is told to ask again
    const kept = whole ? recorder.seal(seal).then((parts) => wallet.keep(work, parts)) : abandon();
    waitUntil(
      kept.catch((error) =>
        console.error(JSON.stringify({ event: 'keep_failed', requestId, error: describeError(error) })),
      ),
    );
  }
  return { kind: 'work', once: { keeping, abandon } };
}
