/** Step 5: to a node's agent. Another node is tried only while no byte of an answer has left for the client. */

import type { ApiError } from '../http/api-error.ts';
import { attempt, type ForwardContext, type Forwarded, reportFailure } from './attempt.ts';
import { beginAttempt, inFlightTotal, type NodeAttempt } from './node/local-state.ts';
import { chooseNode } from './route.ts';
import { GRACE_MS } from './stream/keep-alive.ts';

/** A third failure says more about the request than about the nodes. */
export const ATTEMPTS_MAX = 3;
/** Retries must not double the load of a pool that is already short: a fifth of what runs, and a few … */
const RETRY_SHARE = 0.2;
const RETRIES_ALWAYS = 3;
/** … of which so many are for failures alone. */
const RETRIES_OF_FAILURES = 2;
/** What a node drops at once does not come back to the others at once. */
const RETRY_PAUSE_MS_MAX = 50;
/**
 * A node that is full or drains says no before it works: that is no sign of a pool in trouble. Who was told so waits for
 * a place among the retries until that long after its start, and is refused while a refusal still has its own status.
 */
const TURN_WAIT_MS_MAX = GRACE_MS - 1_000;
const TURN_LOOK_EVERY_MS = 100;

let retrying = 0;

type Forward = { ok: true; forwarded: Forwarded } | { ok: false; refusal: ApiError; nodeId: string | null };

/** @param tried ids of nodes that had their chance; those that get one now are added */
export async function forward(errand: ForwardContext, tried: Set<string>): Promise<Forward> {
  const { admission, pool, route, gone } = errand;
  const startedMs = Date.now();
  let last: { refusal: ApiError; nodeId: string | null } = {
    refusal:
      tried.size > 0
        ? { reason: 'node_failed' }
        : { reason: 'model_not_available', model: admission.model.id },
    nodeId: null,
  };
  const suspects: NodeAttempt[] = [];
  while (tried.size < ATTEMPTS_MAX && !gone.aborted) {
    const isRetry = tried.size > 0;
    if (isRetry) await scheduler.wait(Math.random() * RETRY_PAUSE_MS_MAX);
    const snapshot = await pool();
    if (gone.aborted) break;
    const choice = chooseNode(snapshot, { ...route, tried }, Date.now());
    if (choice.node === null) {
      if (choice.retryAfterMs !== null) last = { ...last, refusal: later(choice.retryAfterMs, last.refusal) };
      break;
    }
    const wasFull = last.refusal.reason === 'overloaded';
    if (isRetry && !mayRetry(wasFull)) {
      if (!wasFull || Date.now() - startedMs >= TURN_WAIT_MS_MAX) break;
      await scheduler.wait(TURN_LOOK_EVERY_MS);
      continue;
    }
    const { node } = choice;
    tried.add(node.id);
    retrying += isRetry ? 1 : 0;
    const visiting = beginAttempt(node, route, Date.now());
    const outcome = await attempt(errand, visiting, startedMs).finally(() => {
      retrying -= isRetry ? 1 : 0;
    });
    if (outcome.ok) {
      for (const suspect of suspects) reportFailure(errand, suspect);
      return outcome;
    }
    if (outcome.blame === 'node_if_another_answers') suspects.push(visiting);
    const { refusal } = outcome;
    const busy = refusal.reason === 'overloaded';
    last = { refusal: busy ? later(refusal.retryAfterMs, last.refusal) : refusal, nodeId: node.id };
    if (!outcome.retryable) break;
  }
  return { ok: false, ...last };
}

function mayRetry(wasFull: boolean): boolean {
  const others = wasFull ? RETRIES_OF_FAILURES : 0;
  return retrying + 1 + others <= RETRIES_ALWAYS + RETRY_SHARE * inFlightTotal();
}

/** Of several full queues the longest wait: before it is over there is no place anywhere. */
function later(retryAfterMs: number, before: ApiError): ApiError {
  const beforeMs = before.reason === 'overloaded' ? before.retryAfterMs : 0;
  return { reason: 'overloaded', retryAfterMs: Math.max(retryAfterMs, beforeMs) };
}
