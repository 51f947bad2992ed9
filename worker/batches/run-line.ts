/**
 * Runs one line of a batch like any other request, and decides what its outcome means: an end, a retry, or a pause of
 * the batch.
 */
import type { PauseReason } from '../domain/batch.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { NO_USAGE, type Usage } from '../domain/usage.ts';
import { config, type Env } from '../env.ts';
import { type Dialect, envelopeIn } from '../gateway/dialects/dialect.ts';
import type { RequestHold, Settlement } from '../gateway/hold/request-hold.ts';
import { WalletHold } from '../gateway/hold/wallet-hold.ts';
import { Deadlines } from '../gateway/node/deadlines.ts';
import { readRequest } from '../gateway/read-request.ts';
import { serve } from '../gateway/serve.ts';
import { ClientDisconnect } from '../gateway/stream/disconnect.ts';
import { type KeptAnswer, wholeAnswer } from '../gateway/whole-answer.ts';
import { type ApiError, statusOf } from '../http/api-error.ts';
import type { Principal } from '../http/authenticate.ts';
import { describeError } from '../lib/describe-error.ts';

export type LineOutcome =
  | { kind: 'answered'; status: number; body: string; settlement: Settlement | null }
  | { kind: 'refused'; status: number; body: string }
  /**
   * `failure`: the error with which the line ends if it fails too often; null: the failure is not the line's own and
   * not counted
   */
  | { kind: 'retry'; inMs: number; failure: { status: number; body: string } | null }
  | { kind: 'pause'; reason: PauseReason };

/** Least time before a line is retried. */
const RETRY_MS = 5_000;

/** How each API error affects a line. A batch has a day, so temporary errors are retried, and a lack of credit is waited out. */
const VERDICTS: Record<ApiError['reason'], 'final' | 'retry' | 'retry_counted' | PauseReason> = {
  insufficient_balance: 'insufficient_balance',
  key_cap_reached: 'key_cap_reached',
  manager_cap_reached: 'manager_cap_reached',
  account_cap_reached: 'account_cap_reached',
  account_suspended: 'account_suspended',
  token_cap_reached: 'final',
  held_by_requests: 'retry',
  overloaded: 'retry',
  model_not_available: 'retry',
  requests_per_minute: 'retry',
  tokens_per_minute: 'retry',
  concurrency: 'retry',
  first_token_timeout: 'retry_counted',
  node_failed: 'retry_counted',
  broken_off: 'retry_counted',
  internal: 'retry_counted',
  unauthenticated: 'final',
  conflicting_keys: 'final',
  not_for_this_key: 'final',
  not_json: 'final',
  wrong_media_type: 'final',
  encoded_body: 'final',
  body_too_large: 'final',
  invalid_field: 'final',
  previous_response_not_found: 'final',
  item_not_found: 'final',
  response_not_found: 'final',
  not_offered: 'final',
  context_length_exceeded: 'final',
  model_forbidden: 'final',
  model_not_found: 'final',
  model_ended: 'final',
  request_not_found: 'final',
  route_not_found: 'final',
  method_not_allowed: 'final',
  key_not_found: 'final',
  key_not_managed: 'final',
  key_not_active: 'final',
  key_rotated: 'final',
  key_of_other_manager: 'final',
  file_not_found: 'final',
  file_in_use: 'final',
  storage_full: 'final',
  batch_not_found: 'final',
  too_many_batches: 'final',
  too_many_calls: 'final',
  too_many_keys: 'final',
  alias_not_found: 'final',
  too_many_aliases: 'final',
  idempotency_mismatch: 'final',
  idempotency_running: 'final',
  idempotency_exhausted: 'final',
};

export interface LineRequest {
  readonly requestId: string;
  readonly dialect: Dialect;
  readonly principal: Principal;
  readonly body: Record<string, unknown>;
  readonly nowMs: number;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Stores the answer before it is paid for. */
  readonly keep: (kept: KeptAnswer) => void;
}

export async function runLine(env: Env, line: LineRequest): Promise<LineOutcome> {
  const { requestId, dialect, principal, body, nowMs, waitUntil } = line;
  // Until admission returns, the Wallet may have made a hold whose reply was lost.
  let hold: RequestHold = new WalletHold(env, { requestId, accountId: principal.accountId });
  try {
    const read = await readRequest(env, dialect, {
      ...{ body, headers: new Headers(), tariff: 'batch', nowMs, waitUntil },
      aliases: principal.aliases,
    });
    if (!read.ok) return judge(env, line, read.error);
    const { dialectRequest, model } = read;
    let kept: KeptAnswer | null = null;
    const served = await serve(env, {
      ...{ principal, dialectRequest, model, nowMs, waitUntil },
      head: {
        ...{ requestId, createdAtMs: nowMs, modelId: model.id, revision: model.revision },
        ignored: dialectRequest.request.ignored,
      },
      tariff: 'batch',
      isKeyed: false,
      // No client waits for a batch line, so none disconnects.
      disconnect: new ClientDisconnect(),
      deadlines: new Deadlines(),
    });
    if (!served.ok) return judge(env, line, served.error);
    hold = served.hold;
    const result = await wholeAnswer(served.context, (answer) => {
      kept = answer;
      line.keep(answer);
    });
    if (!result.ok) return judge(env, line, result.error);
    const { settlement } = (kept as KeptAnswer | null) ?? { settlement: null };
    return { kind: 'answered', status: 200, body: result.text, settlement };
  } catch (error) {
    console.error(JSON.stringify({ event: 'batch_line_failed', requestId, error: describeError(error) }));
    await hold.void(null);
    return { kind: 'retry', inMs: RETRY_MS, failure: errorLine(env, line, { reason: 'internal' }) };
  }
}

function judge(env: Env, line: LineRequest, error: ApiError): LineOutcome {
  const verdict = VERDICTS[error.reason];
  if (verdict === 'retry' || verdict === 'retry_counted') {
    const inMs = 'retryAfterMs' in error ? Math.max(RETRY_MS, error.retryAfterMs) : RETRY_MS;
    return { kind: 'retry', inMs, failure: verdict === 'retry_counted' ? errorLine(env, line, error) : null };
  }
  if (verdict !== 'final') return { kind: 'pause', reason: verdict };
  return { kind: 'refused', ...errorLine(env, line, error) };
}

/** The error as the line's result states it. */
function errorLine(env: Env, { dialect, requestId }: LineRequest, error: ApiError) {
  const body = dialect.errorBody(envelopeIn(dialect, error, config(env).publicOrigin), requestId);
  return { status: statusOf(error), body: JSON.stringify(body) };
}

/** The usage and charge that a settlement adds to a batch's totals. */
export function costOf(settlement: Settlement | null): { usage: Usage; chargeNanoUsd: NanoUsd } {
  return {
    usage: settlement?.billed?.usage ?? NO_USAGE,
    chargeNanoUsd: settlement?.chargeNanoUsd ?? nanoUsd(0),
  };
}
