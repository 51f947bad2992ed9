/** One attempt at one node: the call, its deadline, and who is to blame when it fails. */
import type { AnswerFormat } from '../../gpu-pool/protocol/answer-format.ts';
import { ANSWER_HEADER, ANSWER_READY, GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import type { NodeError } from '../../gpu-pool/protocol/schemas.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import { clampRetryAfterMs } from '../domain/routing/overload.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import { config, type Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';
import type { Admission } from './admission.ts';
import type { HoldWindow } from './hold/hold-window.ts';
import { AnswerReader } from './node/answer-reader.ts';
import { NodeCalls } from './node/calls.ts';
import type { Deadlines } from './node/deadlines.ts';
import { readNodeErrorBody } from './node/error.ts';
import type { NodeAttempt } from './node/local-state.ts';
import { type NodeAnswer, readyAnswer } from './node/node-answer.ts';
import type { Party } from './node/outlook.ts';
import { budgetOf, type GenerateBody } from './node/request-body.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface Forwarded {
  readonly answer: NodeAnswer;
  /** The branch of a streamed answer that passes to the client; null: the answer is sent whole. */
  readonly toClient: ReadableStream<Uint8Array> | null;
  /** Has read the first bytes. */
  readonly reader: AnswerReader;
  /** from the beginning of forwarding, over all attempts */
  readonly ttftMs: number;
  /** The reader of the answer must call `attempt.end()` in every case. */
  readonly attempt: NodeAttempt;
}

/** The part of a request that forwarding needs; `AnswerContext` in answer.ts extends it. */
export interface ForwardContext {
  readonly env: Env;
  readonly admission: Admission;
  readonly format: AnswerFormat;
  readonly body: GenerateBody;
  readonly holdWindow: HoldWindow;
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

export interface ForwardOptions {
  /** when forwarding began */
  readonly startedMs: number;
  /** See `AnswerReader`. Each attempt at a node begins anew. */
  readonly newTake: () => (bytes: Uint8Array) => void;
}

type AttemptResult = { ok: true; forwarded: Forwarded } | Failed;

/**
 * Asks one node once. This isolate records an answer, a refusal because of a full queue, and a failure that the node is to
 * blame for; only such a failure is reported to the Pool, too.
 */
export async function tryNode(
  context: ForwardContext,
  attempt: NodeAttempt,
  options: ForwardOptions,
): Promise<AttemptResult> {
  try {
    const outcome = await ask(context, attempt, options);
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
  context: ForwardContext,
  attempt: NodeAttempt,
  { startedMs, newTake }: ForwardOptions,
): Promise<AttemptResult> {
  const { env, admission, body, holdWindow, disconnect, deadlines } = context;
  const { node } = attempt;
  const { firstTokenDeadlineMs } = config(env);
  const leftMs = startedMs + firstTokenDeadlineMs - Date.now();
  if (leftMs <= 0) return timedOut(firstTokenDeadlineMs, attempt);
  const headers = () => nodeHeaders(config(env), node.id, claimsOf(admission));
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
  const failed = (outcome: Failed): Failed => {
    if (disconnect.aborted) return { ...outcome, blame: 'nobody' };
    const isOver = isLate || Date.now() >= startedMs + firstTokenDeadlineMs;
    return isOver ? timedOut(firstTokenDeadlineMs, attempt) : outcome;
  };

  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: generateHeaders,
      body: body(holdWindow.heldNanoUsd),
      // A redirect would take the request to an address that is not enrolled.
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) {
      const error = await readNodeErrorBody(response).catch(() => null);
      return failed(failureOf(admission, error, response.headers.get('retry-after')));
    }
    const begun = await answerOf(context, response, { calls: new NodeCalls(node, headers), hangUp });
    if (!begun.ok) return failed(failureOf(admission, begun.error, null));
    const { answer } = begun;
    const [toMeter, toClient] = context.format.stream ? answer.body.tee() : [answer.body, null];
    const reader = new AnswerReader(toMeter, newTake());
    await readFirst(reader);
    const { end, last } = reader.marks;
    const isEmpty = end !== null && last?.events === 0 && last.usage.prompt_tokens === 0;
    const hasFailed = end?.ended === 'failed' && last?.events === 0;
    // The first token may come just as the client leaves and the connection is closed: then nobody knows what follows.
    if (last !== null && !isEmpty && !hasFailed && !disconnect.aborted)
      return { ok: true, forwarded: { answer, toClient, reader, ttftMs: Date.now() - startedMs, attempt } };
    // An answer that ends without a count is a failure, too.
    answer.close();
    return failed(failureOf(admission, end?.error ?? null, null));
  } catch {
    hangUp.abort();
    return failed({ ...NODE_FAILED, blame: 'node' });
  } finally {
    deadline.clear();
    stopListening();
  }
}

/** Far more than an agent writes before its first mark. */
const FIRST_BYTES_MAX = 1024 * 1024;

/** Reads to the agent's first mark, which comes with its first text. What has none did not come from an agent. */
async function readFirst(reader: AnswerReader): Promise<void> {
  for (let total = 0; total < FIRST_BYTES_MAX && reader.marks.last === null; ) {
    const bytes = await reader.read();
    if (bytes === null) return;
    total += bytes;
  }
}

function claimsOf({ accountId, requestId, model, maxTokens, choices, promptTokensMax, hold }: Admission) {
  return {
    sub: accountId,
    jti: requestId,
    model: model.id,
    max_tokens: Math.max(1, maxTokens * choices),
    context_tokens: model.contextTokens,
    prompt_tokens_max: promptTokensMax,
    ticket: hold.ticket(),
  };
}

/** The answer as the client wants it: as the agent writes it, or as the edge renders it for an agent that is too old. */
async function answerOf(
  { env, admission, format, holdWindow, deadlines }: ForwardContext,
  response: Response,
  { calls, hangUp }: { calls: NodeCalls; hangUp: AbortController },
): Promise<{ ok: true; answer: NodeAnswer } | { ok: false; error: NodeError['error'] | null }> {
  const body = response.body!;
  if (response.headers.get(ANSWER_HEADER) === ANSWER_READY)
    return { ok: true, answer: readyAnswer(body, calls, hangUp) };
  const { renderedAnswer } = await import('./node/rendered-answer.ts');
  return renderedAnswer(body, {
    ...{ format, calls, hangUp, deadlines },
    completionTokensMax: admission.maxTokens * admission.choices,
    budget: budgetOf(admission, holdWindow.heldNanoUsd),
    idleDeadlineMs: config(env).idleDeadlineMs,
  });
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
