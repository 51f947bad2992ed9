/** One attempt at one node: the call, its deadline, and who is to blame when it fails. */

import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import type { NodeError } from '../../gpu-pool/protocol/schemas.ts';
import type { PoolSnapshot } from '../domain/node.ts';
import { usefulRetryAfterMs } from '../domain/routing/overload.ts';
import type { RouteRequest } from '../domain/routing/policy.ts';
import { config, type Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';
import type { Admission } from './admit.ts';
import { leaseOf } from './lease/registry.ts';
import type { Deadlines } from './node/deadlines.ts';
import { readNodeErrorBody } from './node/error.ts';
import type { NodeAttempt } from './node/local-state.ts';
import { type NodeEvent, NodeStream } from './node/stream.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface Forwarded {
  readonly stream: NodeStream;
  readonly first: NodeEvent;
  /** since the request was forwarded */
  readonly ttftMs: number;
  /** to be ended when the answer has, however */
  readonly visit: NodeAttempt;
}

/** What forwarding needs of a request; answer.ts has the whole of it. */
export interface ForwardContext {
  readonly env: Env;
  readonly admission: Admission;
  /** JSON of a GenerateRequest */
  readonly body: string;
  /** the pool as the isolate knows it now: an answer may be long, and a retry must not see an old one */
  readonly pool: () => Promise<PoolSnapshot>;
  readonly route: RouteRequest;
  /** all deadlines of the request */
  readonly alarms: Deadlines;
  /** aborted when the client has left: no new attempt then */
  readonly gone: ClientDisconnect;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/**
 * Who is to blame. A node that refuses connections or says nothing is: `node`. One that breaks on a request is only when
 * another answers the same request (`node_if_another_answers`), else whoever finds a request that breaks engines could
 * eject them all with it.
 */
type Blame = 'node' | 'node_if_another_answers' | 'nobody';

interface Failed {
  readonly ok: false;
  readonly refusal: ApiError;
  readonly retryable: boolean;
  readonly blame: Blame;
}

type Attempt = { ok: true; forwarded: Forwarded } | Failed;

/** One node, once. What comes of it is remembered here; only what the node is to blame for is told to the Pool. */
export async function attempt(
  errand: ForwardContext,
  visit: NodeAttempt,
  startedMs: number,
): Promise<Attempt> {
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
  { env, admission, body, gone, alarms }: ForwardContext,
  visit: NodeAttempt,
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

function timedOut(deadlineMs: number, { startedMs }: NodeAttempt): Failed {
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
  const error = await readNodeErrorBody(response).catch(() => null);
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

/** This isolate avoids the node from now on; the Pool hears of it and tells the others. */
export function reportFailure({ env, admission, waitUntil }: ForwardContext, visit: NodeAttempt): void {
  const nowMs = Date.now();
  visit.failed(nowMs);
  const failure = { nodeId: visit.node.id, startedAgoMs: nowMs - visit.startedMs };
  const pool = env.POOL.getByName(admission.model.id);
  waitUntil(pool.reportFailure(failure).catch(() => undefined));
}
