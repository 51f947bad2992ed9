/** Requests with an Idempotency-Key: the Wallet's record of the first one, and the sealed response that a repeat gets. */
import type { IdempotentRequest } from '../../domain/wallet.ts';
import type { Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import type { AnswerRecorder, IdempotentStart, KeyedRequest } from './idempotent-run.ts';
import { ResponseRecorder, sealFor, unseal } from './sealed-response.ts';

/** At most 255 characters: long enough for any UUID with a prefix, too short to carry a payload. */
const KEY_SHAPE = /^[\x21-\x7e]{1,255}$/;
/** When a client should retry while the first request is still running. */
const RETRY_RUNNING_MS = 1_000;

/** Looks the key up in the Wallet and decides whether the request is to run, to be replayed or to be refused. */
export async function beginKeyed(
  env: Env,
  idempotencyKey: string,
  request: KeyedRequest,
): Promise<IdempotentStart> {
  if (!KEY_SHAPE.test(idempotencyKey)) {
    const message = '`Idempotency-Key` must be 1 to 255 visible ASCII characters, such as a UUID.';
    return { kind: 'error', error: { reason: 'invalid_field', param: 'Idempotency-Key', message } };
  }
  const { principal, requestId, bytes, waitUntil } = request;
  const { accountId, secret } = principal;
  const seal = await sealFor(env, { accountId, secret, idempotencyKey, body: bytes });
  const { lookup, fingerprint, others } = seal;
  const work: IdempotentRequest = { lookup, fingerprint, others, requestId };
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
  const recorded = new ResponseRecorder();
  const recorder: AnswerRecorder = {
    write: (text) => recorded.write(text),
    end(isWhole) {
      // not awaited: the client has its answer; a retry that arrives meanwhile gets a 409 and tries again
      const stored = isWhole
        ? recorded.seal(seal).then((parts) => wallet.keepAnswer(work, parts))
        : abandon();
      waitUntil(
        stored.catch((error) =>
          console.error(JSON.stringify({ event: 'keep_failed', requestId, error: describeError(error) })),
        ),
      );
    },
  };
  return { kind: 'run', run: { recorder, abandon } };
}
