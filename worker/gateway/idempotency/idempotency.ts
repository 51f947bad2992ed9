/**
 * Idempotency-Key: a repeated request with the same key and body gets the same response, which is streamed again and never
 * billed twice. The Wallet knows the state of the first request; its response is stored sealed, so that only its caller can
 * read it again.
 */

import type { IdempotentRequest } from '../../domain/wallet.ts';
import type { Env } from '../../env.ts';
import type { ApiError } from '../../http/api-error.ts';
import type { Principal } from '../../http/authenticate.ts';
import { describeError } from '../../lib/describe-error.ts';
import type { ClientChunk } from '../stream/client-chunk.ts';
import { ResponseRecorder, sealFor, unseal } from './sealed-response.ts';

/** At most 255 characters: long enough for any UUID with a prefix, too short to carry a payload. */
const KEY_SHAPE = /^[\x21-\x7e]{1,255}$/;
/** When a client should retry while the first request is still running. */
const RETRY_RUNNING_MS = 1_000;

/** A request that runs under an idempotency key: its answer is recorded, or it is abandoned. */
export interface IdempotentRun {
  /** Passes the chunks on and stores the response once the answer is complete; an incomplete one is abandoned. */
  record(chunks: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void>;
  /** Releases the key: there will be no response to store. */
  abandon(): Promise<void>;
}

export type IdempotentStart =
  | { kind: 'run'; run: IdempotentRun }
  | { kind: 'replay'; requestId: string; body: ReadableStream<Uint8Array> }
  | { kind: 'error'; error: ApiError };

const UNKEYED: IdempotentRun = { record: (chunks) => chunks, abandon: async () => undefined };

/** Looks the request's idempotency key up in the Wallet. A request without a key always runs. */
export async function beginIdempotent(
  env: Env,
  request: {
    headers: Headers;
    bytes: Uint8Array;
    principal: Principal;
    requestId: string;
    waitUntil: (promise: Promise<unknown>) => void;
  },
): Promise<IdempotentStart> {
  const idempotencyKey = request.headers.get('idempotency-key');
  if (idempotencyKey === null) return { kind: 'run', run: UNKEYED };
  if (!KEY_SHAPE.test(idempotencyKey)) {
    const message = '`Idempotency-Key` must be 1 to 255 visible ASCII characters, such as a UUID.';
    return { kind: 'error', error: { reason: 'invalid_field', param: 'Idempotency-Key', message } };
  }
  const { principal, requestId, bytes, waitUntil } = request;
  const { accountId, secret } = principal;
  const seal = await sealFor(env, { accountId, secret, idempotencyKey, body: bytes });
  const work: IdempotentRequest = { lookup: seal.lookup, fingerprint: seal.fingerprint, requestId };
  const wallet = env.WALLET.getByName(accountId);
  const begun = await wallet.beginIdempotent(work);
  switch (begun.state) {
    case 'replay':
      return { kind: 'replay', requestId: begun.requestId, body: await unseal(seal, begun.parts) };
    case 'running':
      return { kind: 'error', error: { reason: 'idempotency_running', retryAfterMs: RETRY_RUNNING_MS } };
    case 'mismatch':
    case 'exhausted':
      return { kind: 'error', error: { reason: `idempotency_${begun.state}` } };
    case 'fresh':
      break;
  }

  const abandon = () => wallet.abandonIdempotent(work);
  async function* record(chunks: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void> {
    const recorder = new ResponseRecorder();
    let isComplete = false;
    for await (const chunk of chunks) {
      if (chunk.kind === 'text') {
        recorder.write(chunk.text);
        isComplete = chunk.last;
      }
      yield chunk;
    }
    // not awaited: the client has its answer; a retry that arrives meanwhile gets a 409 and tries again
    const stored = isComplete
      ? recorder.seal(seal).then((parts) => wallet.keepAnswer(work, parts))
      : abandon();
    waitUntil(
      stored.catch((error) =>
        console.error(JSON.stringify({ event: 'keep_failed', requestId, error: describeError(error) })),
      ),
    );
  }
  return { kind: 'run', run: { record, abandon } };
}
