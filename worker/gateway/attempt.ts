/** One attempt at one node: the call, its deadline, and who is to blame when it fails. */
import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import type { NodeError } from '../../gpu-pool/protocol/schemas.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import { clampRetryAfterMs } from '../domain/routing/overload.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import { config, type Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';
import type { Admission } from './admission.ts';
import type { Deadlines } from './node/deadlines.ts';
import { readNodeErrorBody } from './node/error.ts';
import type { NodeAttempt } from './node/local-state.ts';
import type { Party } from './node/outlook.ts';
import { type NodeEvent, NodeStream } from './node/stream.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface Forwarded {
  readonly stream: NodeStream;
  readonly first: NodeEvent;
  /** from the beginning of forwarding, over all attempts */
  readonly ttftMs: number;
  /** The reader of `stream` must call `attempt.end()` in every case. */
  readonly attempt: NodeAttempt;
}

/** The part of a request that forwarding needs; `AnswerContext` in answer.ts extends it. */
export interface ForwardContext {
  readonly env: Env;
  readonly admission: Admission;
  /** JSON of a GenerateRequest */
  readonly body: string;
  /** The pool as the isolate knows it at the time of the call, because a retry must not see an old snapshot. */
  readonly pool: () => Promise<PoolSnapshot>;
  readonly route: RouteRequest;
  readonly party: Party;
  readonly deadlines: Deadlines;
  /** Once the client has disconnected, no further attempt is made. */
  readonly disconnect: ClientDisconnect;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/**
 * The side that an attempt which failed before its first chunk counts against. A node that refuses connections or stays
 * silent is to blame: `node`. A node that fails on a request is to blame only once another node has answered the same
 * request (`node_if_another_answers`). An error that the engine gives as the client's is nobody's, before the first chunk and
 * after it (`leaveNode` in answer.ts). Even blame counts only for the account that saw the failure until another account, or
 * the node itself, agrees (domain/routing/witness.ts): otherwise a client that finds a request which breaks engines could
 * eject every node with it.
 */
type Blame = 'node' | 'node_if_another_answers' | 'nobody';

interface Failed {
  readonly ok: false;
  readonly error: ApiError;
  /** Another node may do better. */
  readonly retryable: boolean;
  readonly blame: Blame;
}

type AttemptResult = { ok: true; forwarded: Forwarded } | Failed;

/**
 * Asks one node once. This isolate records an answer, a refusal because of a full queue, and a failure that the node is to
 * blame for; only such a failure is reported to the Pool, too.
 */
export async function tryNode(
  context: ForwardContext,
  attempt: NodeAttempt,
  startedMs: number,
): Promise<AttemptResult> {
  try {
    const outcome = await ask(context, attempt, startedMs);
    const nowMs = Date.now();
    if (outcome.ok) {
      attempt.answered(nowMs);
      return outcome;
    }
    if (outcome.error.reason === 'overloaded') attempt.refused(nowMs + outcome.error.retryAfterMs, nowMs);
    if (outcome.blame === 'node') reportFailure(context, attempt);
    attempt.end();
    return outcome;
  } catch (error) {
    attempt.end();
    throw error;
  }
}

async function ask(
  { env, admission, body, disconnect, deadlines }: ForwardContext,
  attempt: NodeAttempt,
  startedMs: number,
): Promise<AttemptResult> {
  const { node } = attempt;
  const { firstTokenDeadlineMs, idleDeadlineMs } = config(env);
  const leftMs = startedMs + firstTokenDeadlineMs - Date.now();
  if (leftMs <= 0) return timedOut(firstTokenDeadlineMs, attempt);
  const claims = {
    sub: admission.accountId,
    jti: admission.requestId,
    model: admission.model.id,
    max_tokens: Math.max(1, admission.maxTokens * admission.choices),
    context_tokens: admission.model.contextTokens,
    prompt_tokens_max: admission.promptTokensMax,
    ticket: admission.hold.ticket(),
  };
  const headers = () => nodeHeaders(config(env), node.id, claims);
  const generateHeaders = await headers();

  const hangUp = new AbortController();
  // Before its first token an answer costs nothing, so the connection is simply closed: the agent takes that for an abort.
  const stopListening = disconnect.listen(() => hangUp.abort());
  let isLate = false;
  const deadline = deadlines.newDeadline();
  deadline.set(Date.now() + leftMs, () => {
    isLate = true;
    hangUp.abort();
  });
  let answered = false;
  const failed = (outcome: Failed): Failed => {
    if (disconnect.aborted) return { ...outcome, blame: 'nobody' };
    const isOver = isLate || Date.now() >= startedMs + firstTokenDeadlineMs;
    return isOver ? timedOut(firstTokenDeadlineMs, attempt) : outcome;
  };

  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: generateHeaders,
      body,
      // A redirect would take the request to an address that is not enrolled.
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) {
      const error = await readNodeErrorBody(response).catch(() => null);
      return failed(failureOf(admission, error, response.headers.get('retry-after')));
    }

    const stream = new NodeStream(node, response.body, { headers, idleDeadlineMs, deadline });
    const first = await stream.next(Math.max(1, startedMs + firstTokenDeadlineMs - Date.now()));
    if (first.kind === 'chunk') {
      answered = true;
      return { ok: true, forwarded: { stream, first, ttftMs: Date.now() - startedMs, attempt } };
    }
    // A stream that ends without a chunk is a failure, too.
    return failed(failureOf(admission, first.kind === 'broken' ? first.error : null, null));
  } catch {
    return failed({ ...NODE_FAILED, blame: 'node' });
  } finally {
    if (!answered) deadline.clear();
    stopListening();
  }
}

const NODE_FAILED: Failed = {
  ok: false,
  error: { reason: 'node_failed' },
  retryable: true,
  blame: 'node_if_another_answers',
};

function timedOut(deadlineMs: number, { startedMs }: NodeAttempt): Failed {
  // The deadline is that of this forwarding, over all its attempts, so no time is left for another node.
  return {
    ok: false,
    error: { reason: 'first_token_timeout', deadlineMs },
    retryable: false,
    // A node that got less than half of the time, because others had used the rest, is not to blame.
    blame: Date.now() - startedMs >= deadlineMs / 2 ? 'node' : 'nobody',
  };
}

/** The node is healthy and full. @param retryAfter value of the agent's Retry-After header, in seconds */
function queueFull(retryAfter: string | null): Failed {
  const retryAfterMs = clampRetryAfterMs(1_000 * (Number(retryAfter) || 0));
  return {
    ok: false,
    error: { reason: 'overloaded', retryAfterMs },
    retryable: true,
    blame: 'nobody',
  };
}

/**
 * The meaning of an agent's error, which it may send with a status or as an event of a 200 stream. Only an error that another
 * node could avoid is retried; a 400 is the client's and counts against no node. A node that rejects our token counts as
 * failed: its clock or its keys are wrong. If ours were wrong, every node would reject it, and routing ignores ejections once
 * most nodes are out (`partitionNodes` in domain/routing/eligibility.ts).
 * @param error null: the node sent no error of the protocol
 * @param retryAfter value of the agent's Retry-After header, in seconds
 */
function failureOf(
  admission: Admission,
  error: NodeError['error'] | null,
  retryAfter: string | null,
): Failed {
  switch (error?.code) {
    case 'bad_request': {
      const message = `The engine refused the request: ${error!.message}`;
      return {
        ok: false,
        error: error!.context
          ? contextExceeded(admission, error!.context)
          : { reason: 'invalid_field', param: null, message },
        retryable: false,
        blame: 'nobody',
      };
    }
    case 'overloaded':
      return queueFull(retryAfter);
    default:
      return NODE_FAILED;
  }
}

/** The error of a prompt that the node counted and that is too long for the model, or for this node's engine. */
export function contextExceeded(
  { model, promptField: param }: Pick<Admission, 'model' | 'promptField'>,
  counted: { prompt_tokens: number; context_tokens: number },
): ApiError {
  const { prompt_tokens: promptTokens, context_tokens: contextTokens } = counted;
  return { reason: 'context_length_exceeded', param, model: model.id, contextTokens, promptTokens };
}

/**
 * Makes this isolate's requests of the account avoid the node from now on, and reports the failure to the Pool, which looks
 * for others that agree.
 */
export function reportFailure({ env, admission, waitUntil }: ForwardContext, attempt: NodeAttempt): void {
  const nowMs = Date.now();
  attempt.failed(nowMs);
  const { accountId } = admission;
  const failure = { nodeId: attempt.node.id, accountId, startedAgoMs: nowMs - attempt.startedMs };
  const pool = env.POOL.getByName(admission.model.id);
  waitUntil(pool.reportFailure(failure).catch(() => undefined));
}
