/**
 * Step 5: forwards the request to a node's agent. Another node is tried only until one has sent the first of its answer. An
 * answer that is sent whole can still move to another node later: whole-answer.ts then forwards it again.
 */
import type { ApiError } from '../http/api-error.ts';
import {
  type ForwardContext,
  type Forwarded,
  type ForwardOptions,
  reportFailure,
  tryNode,
} from './attempt.ts';
import { beginAttempt, inFlightTotal, type NodeAttempt } from './node/local-state.ts';
import type { Party } from './node/outlook.ts';
import { chooseNode } from './route.ts';
import { GRACE_MS } from './stream/keep-alive.ts';

/** A third failure says more about the request than about the nodes. */
export const ATTEMPTS_MAX = 3;
/**
 * Retry budget of this isolate: 20 % of its requests in flight plus 3, so that retries cannot double the load of a pool
 * that is already short. Two of them are reserved for failures: requests that a full node refused may not use them up. One is
 * reserved for other accounts than the one that retries, whose requests may fail because of what they ask.
 */
const RETRY_SHARE = 0.2;
const RETRIES_ALWAYS = 3;
const RETRIES_OF_FAILURES = 2;
const RETRIES_OF_OTHERS = 1;
/** Retries are spread over this time, so that the requests of a node that dies do not reach the others all at once. */
const RETRY_PAUSE_MS_MAX = 50;
/**
 * A request refused by a full or draining node may wait this long for a retry slot, because such a refusal is no sign of a
 * failing pool. After that an error could no longer be sent as an HTTP status (stream/keep-alive.ts).
 */
const RETRY_SLOT_WAIT_MS_MAX = GRACE_MS - 1_000;
const RETRY_SLOT_POLL_MS = 100;

/** Retries of this isolate that are at a node now, and those of each account. */
let retrying = 0;
const retryingBy = new Map<string, number>();

function countRetry({ accountId }: Party, change: 1 | -1): void {
  retrying += change;
  const count = (retryingBy.get(accountId) ?? 0) + change;
  if (count > 0) retryingBy.set(accountId, count);
  else retryingBy.delete(accountId);
}

type ForwardResult =
  | { ok: true; forwarded: Forwarded }
  /** `nodeId`: the last node that was tried; null: none was */
  | { ok: false; error: ApiError; nodeId: string | null };

/**
 * @param tried ids of nodes that are not tried (again); those that this call tries are added
 * @param newTake see `ForwardOptions`
 */
export async function forward(
  context: ForwardContext,
  tried: Set<string>,
  newTake: ForwardOptions['newTake'],
): Promise<ForwardResult> {
  const { admission, pool, route, party, disconnect } = context;
  const startedMs = Date.now();
  let last: { error: ApiError; nodeId: string | null } = {
    error:
      tried.size > 0
        ? { reason: 'node_failed' }
        : { reason: 'model_not_available', model: admission.model.id },
    nodeId: null,
  };
  /** attempts at nodes that are to blame if another node answers */
  const suspects: NodeAttempt[] = [];
  while (tried.size < ATTEMPTS_MAX && !disconnect.aborted) {
    const isRetry = tried.size > 0;
    if (isRetry) await scheduler.wait(Math.random() * RETRY_PAUSE_MS_MAX);
    const snapshot = await pool();
    if (disconnect.aborted) break;
    const choice = chooseNode(snapshot, { ...route, party, tried }, Date.now());
    if (choice.node === null) {
      if (choice.retryAfterMs !== null)
        last = { ...last, error: overloaded(choice.retryAfterMs, last.error) };
      break;
    }
    const wasFull = last.error.reason === 'overloaded';
    if (isRetry && !mayRetry(party, wasFull)) {
      if (!wasFull || Date.now() - startedMs >= RETRY_SLOT_WAIT_MS_MAX) break;
      await scheduler.wait(RETRY_SLOT_POLL_MS);
      continue;
    }
    const { node } = choice;
    tried.add(node.id);
    if (isRetry) countRetry(party, 1);
    const attempt = beginAttempt(node, { ...route, party }, Date.now());
    const outcome = await tryNode(context, attempt, { startedMs, newTake }).finally(() => {
      if (isRetry) countRetry(party, -1);
    });
    if (outcome.ok) {
      for (const suspect of suspects) reportFailure(context, suspect);
      return outcome;
    }
    if (outcome.blame === 'node_if_another_answers') suspects.push(attempt);
    const { error } = outcome;
    const isFull = error.reason === 'overloaded';
    last = { error: isFull ? overloaded(error.retryAfterMs, last.error) : error, nodeId: node.id };
    if (!outcome.retryable) break;
  }
  return { ok: false, ...last };
}

function mayRetry({ accountId }: Party, wasFull: boolean): boolean {
  const budget = RETRIES_ALWAYS + RETRY_SHARE * inFlightTotal();
  const own = retryingBy.get(accountId) ?? 0;
  const ofFailures = wasFull ? RETRIES_OF_FAILURES : 0;
  return retrying + 1 + ofFailures <= budget && own + 1 + RETRIES_OF_OTHERS <= budget;
}

/** When several nodes were full, the longest wait is reported: only after it can each of them take the request. */
function overloaded(retryAfterMs: number, before: ApiError): ApiError {
  const beforeMs = before.reason === 'overloaded' ? before.retryAfterMs : 0;
  return { reason: 'overloaded', retryAfterMs: Math.max(retryAfterMs, beforeMs) };
}
