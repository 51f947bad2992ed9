/** Step 5: to a node's agent. Another node is tried only while no byte of an answer has left for the client. */

import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import type { NodeError } from '../../gpu-pool/protocol/schemas.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import { usefulRetryAfterMs } from '../domain/routing/overload.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import { config, type Env } from '../env.ts';
import type { Refusal } from '../http/api-error.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';
import type { Admission } from './admit.ts';
import type { Alarms } from './alarm.ts';
import type { Gone } from './gone.ts';
import { GRACE_MS } from './keep-alive.ts';
import { leaseOf } from './leases.ts';
import { inFlightTotal, type Visit, visit } from './node-memory.ts';
import { readNodeRefusal } from './node-refusal.ts';
import { type NodeEvent, NodeStream } from './node-stream.ts';
import { chooseNode } from './route.ts';

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

export interface Forwarded {
  readonly stream: NodeStream;
  readonly first: NodeEvent;
  /** since the request was forwarded */
  readonly ttftMs: number;
  /** to be ended when the answer has, however */
  readonly visit: Visit;
}

type Forward = { ok: true; forwarded: Forwarded } | { ok: false; refusal: Refusal; nodeId: string | null };

/** What forwarding needs of a request; answer.ts has the whole of it. */
export interface Errand {
  readonly env: Env;
  readonly admission: Admission;
  /** JSON of a GenerateRequest */
  readonly body: string;
  /** the pool as the isolate knows it now: an answer may be long, and a retry must not see an old one */
  readonly pool: () => Promise<PoolSnapshot>;
  readonly route: RouteRequest;
  /** all deadlines of the request */
  readonly alarms: Alarms;
  /** aborted when the client has left: no new attempt then */
  readonly gone: Gone;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/** @param tried ids of nodes that had their chance; those that get one now are added */
export async function forward(errand: Errand, tried: Set<string>): Promise<Forward> {
  const { admission, pool, route, gone } = errand;
  const startedMs = Date.now();
  let last: { refusal: Refusal; nodeId: string | null } = {
    refusal:
      tried.size > 0
        ? { reason: 'node_failed' }
        : { reason: 'model_not_available', model: admission.model.id },
    nodeId: null,
  };
  const suspects: Visit[] = [];
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
    const visiting = visit(node, route, Date.now());
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
function later(retryAfterMs: number, before: Refusal): Refusal {
  const beforeMs = before.reason === 'overloaded' ? before.retryAfterMs : 0;
  return { reason: 'overloaded', retryAfterMs: Math.max(retryAfterMs, beforeMs) };
}

/** This isolate avoids the node from now on; the Pool hears of it and tells the others. */
export function reportFailure({ env, admission, waitUntil }: Errand, visit: Visit): void {
  const nowMs = Date.now();
  visit.failed(nowMs);
  const failure = { nodeId: visit.node.id, startedAgoMs: nowMs - visit.startedMs };
  const pool = env.POOL.getByName(admission.model.id);
  waitUntil(pool.reportFailure(failure).catch(() => undefined));
}

/**
 * Who is to blame. A node that refuses connections or says nothing is: `node`. One that breaks on a request is only when
 * another answers the same request (`node_if_another_answers`), else whoever finds a request that breaks engines could
 * eject them all with it.
 */
type Blame = 'node' | 'node_if_another_answers' | 'nobody';

interface Failed {
  readonly ok: false;
  readonly refusal: Refusal;
  readonly retryable: boolean;
  readonly blame: Blame;
}
type Attempt = { ok: true; forwarded: Forwarded } | Failed;

/** One node, once. What comes of it is remembered here; only what the node is to blame for is told to the Pool. */
async function attempt(errand: Errand, visit: Visit, startedMs: number): Promise<Attempt> {
  try {
    const outcome = await ask(errand, visit, startedMs);
    if (outcome.ok) {
      visit.answered(Date.now());
      return outcome;
    }
    if (outcome.refusal.reason === 'overloaded') visit.refused(Date.now() + outcome.refusal.retryAfterMs);
    if (outcome.blame === 'node') reportFailure(errand, visit);
    visit.end();
    return outcome;
  } catch (error) {
    visit.end();
    throw error;
  }
}

async function ask(
  { env, admission, body, gone, alarms }: Errand,
  visit: Visit,
  startedMs: number,
): Promise<Attempt> {
  const { node } = visit;
  const { firstTokenDeadlineMs, idleDeadlineMs } = config(env);
  const leftMs = startedMs + firstTokenDeadlineMs - Date.now();
  if (leftMs <= 0) return timedOut(firstTokenDeadlineMs, visit);
  const claims = {
    sub: admission.accountId,
    jti: admission.requestId,
    model: admission.model.id,
    max_tokens: admission.maxTokens * admission.choices,
    ticket: leaseOf(admission.requestId)?.ticket(admission.requestId),
  };
  const headers = () => nodeHeaders(config(env), node.id, claims);
  const asking = await headers();

  const hangUp = new AbortController();
  // before its first token an answer costs nothing: the agent takes a lost connection for an abort
  const stay = gone.listen(() => hangUp.abort());
  let late = false;
  const alarm = alarms.alarm();
  alarm.set(Date.now() + leftMs, () => {
    late = true;
    hangUp.abort();
  });
  let answered = false;
  const failed = (outcome: Failed): Failed => {
    if (gone.aborted) return { ...outcome, blame: 'nobody' };
    const over = late || Date.now() >= startedMs + firstTokenDeadlineMs;
    return over ? timedOut(firstTokenDeadlineMs, visit) : outcome;
  };

  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: asking,
      body,
      // a node that redirects is not one of ours
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) return failed(await refused(response));

    const stream = new NodeStream(node, response.body, { headers, idleDeadlineMs, alarm });
    const first = await stream.next(Math.max(1, startedMs + firstTokenDeadlineMs - Date.now()));
    if (first.kind === 'chunk') {
      answered = true;
      return { ok: true, forwarded: { stream, first, ttftMs: Date.now() - startedMs, visit } };
    }
    // a mere [DONE] is no answer either
    const full = first.kind === 'broken' && first.why === OVERLOADED;
    return failed(full ? queueFull(null) : NODE_FAILED);
  } catch {
    return failed({ ...NODE_FAILED, blame: 'node' });
  } finally {
    if (!answered) alarm.clear();
    stay();
  }
}

/** As an event in a 200 it means what it means as a status. */
const OVERLOADED = 'overloaded' satisfies NodeError['error']['code'];

const NODE_FAILED: Failed = {
  ok: false,
  refusal: { reason: 'node_failed' },
  retryable: true,
  blame: 'node_if_another_answers',
};

function timedOut(deadlineMs: number, { startedMs }: Visit): Failed {
  // the deadline is the client's and it is over: another node has no time left
  return {
    ok: false,
    refusal: { reason: 'first_token_timeout', deadlineMs },
    retryable: false,
    // a node that had only what others left of the time is not to blame
    blame: Date.now() - startedMs >= deadlineMs / 2 ? 'node' : 'nobody',
  };
}

/** Nothing is wrong with the node, it has enough to do. @param retryAfter in seconds, as the agent says it */
function queueFull(retryAfter: string | null): Failed {
  const retryAfterMs = usefulRetryAfterMs(1_000 * (Number(retryAfter) || 0));
  return {
    ok: false,
    refusal: { reason: 'overloaded', retryAfterMs },
    retryable: true,
    blame: 'nobody',
  };
}

/**
 * What an agent's refusal means. Only what another node could do better is retried; a client's 400 is nobody's fault.
 * A token that a node does not take counts against it: its clock or its keys are wrong. Were it ours that are, every
 * node would say so, and no ejection would be believed (domain/routing/eligible.ts).
 */
async function refused(response: Response): Promise<Failed> {
  const error = await readNodeRefusal(response).catch(() => null);
  switch (error?.code ?? 'engine_failed') {
    case 'bad_request': {
      const message = `The engine refused the request: ${error!.message}`;
      return {
        ok: false,
        refusal: { reason: 'invalid_field', param: null, message },
        retryable: false,
        blame: 'nobody',
      };
    }
    case 'overloaded':
      return queueFull(response.headers.get('retry-after'));
    default:
      return NODE_FAILED;
  }
}
