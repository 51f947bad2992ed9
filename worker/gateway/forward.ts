/** Step 5: to a node's agent. Another node is tried only while no byte of an answer has left for the client. */
import { GENERATE_PATH, type GenerateRequest, NodeError } from '../../gpu-pool/protocol.ts';
import type { NodeView, PoolSnapshot } from '../domain/node.ts';
import { config, type Env } from '../env.ts';
import { signRequestToken } from '../fleet/edge-keys.ts';
import type { Admission } from './admit.ts';
import { type NodeEvent, NodeStream } from './node-stream.ts';
import type { Refusal } from './refusal.ts';
import { chooseNode, inFlightTotal, noteFailure, noteInFlight } from './route.ts';

/** A third failure says more about the request than about the nodes. */
export const ATTEMPTS_MAX = 3;
/** Retries must not double the load of a pool that is already short: a fifth of what runs, and a few. */
const RETRY_SHARE = 0.2;
const RETRIES_ALWAYS = 3;

let retrying = 0;

export interface Forwarded {
  readonly stream: NodeStream;
  readonly first: NodeEvent;
  /** since the request was forwarded */
  readonly ttftMs: number;
  /** called once when the answer has ended, however */
  readonly release: () => void;
}

type Forward = { ok: true; forwarded: Forwarded } | { ok: false; refusal: Refusal; nodeId: string | null };

/** What forwarding needs of a request; answer.ts has the whole of it. */
export interface Errand {
  readonly env: Env;
  readonly admission: Admission;
  readonly body: GenerateRequest;
  /** the pool as the isolate knows it now: an answer may be long, and a retry must not see an old one */
  readonly pool: () => Promise<PoolSnapshot>;
  readonly affinity: number;
  /** aborted when the client has left: no new attempt then */
  readonly gone: AbortSignal;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/** @param tried ids of nodes that had their chance; those that get one now are added */
export async function forward(errand: Errand, tried: Set<string>): Promise<Forward> {
  const { admission, pool, affinity, gone } = errand;
  const startedMs = Date.now();
  let last: { refusal: Refusal; nodeId: string | null } = {
    refusal:
      tried.size > 0
        ? { reason: 'node_failed' }
        : { reason: 'model_not_available', model: admission.model.id },
    nodeId: null,
  };
  while (tried.size < ATTEMPTS_MAX && !gone.aborted) {
    const { nodes } = await pool();
    const node = chooseNode(nodes, { affinity, tried }, Date.now());
    const isRetry = tried.size > 0;
    if (node === null || (isRetry && retrying + 1 > RETRIES_ALWAYS + RETRY_SHARE * inFlightTotal())) break;
    tried.add(node.id);
    retrying += isRetry ? 1 : 0;
    const outcome = await attempt(errand, node, startedMs).finally(() => {
      retrying -= isRetry ? 1 : 0;
    });
    if (outcome.ok) return outcome;
    last = { refusal: outcome.refusal, nodeId: node.id };
    if (outcome.nodeFailed) reportFailure(errand, node.id);
    if (!outcome.retryable) break;
  }
  return { ok: false, ...last };
}

/** This isolate avoids the node from now on; the Pool hears of it and tells the others. */
export function reportFailure({ env, admission, waitUntil }: Errand, nodeId: string): void {
  noteFailure(nodeId, Date.now());
  const pool = env.POOL.getByName(admission.model.id);
  waitUntil(pool.reportFailure(nodeId).catch(() => undefined));
}

interface Failed {
  readonly ok: false;
  readonly refusal: Refusal;
  readonly retryable: boolean;
  readonly nodeFailed: boolean;
}
type Attempt = { ok: true; forwarded: Forwarded } | Failed;

async function attempt(
  { env, admission, body, gone }: Errand,
  node: NodeView,
  startedMs: number,
): Promise<Attempt> {
  const { firstTokenDeadlineMs, idleDeadlineMs } = config(env);
  const leftMs = startedMs + firstTokenDeadlineMs - Date.now();
  // others used the time up: this node is not to blame
  if (leftMs <= 0) return { ...timedOut(firstTokenDeadlineMs), nodeFailed: false };
  const claims = {
    aud: node.id,
    sub: admission.accountId,
    jti: admission.requestId,
    model: admission.model.id,
    max_tokens: admission.maxTokens * admission.choices,
  };
  const sign = () => signRequestToken(config(env), claims, Date.now());
  const token = await sign();

  const release = noteInFlight(node.id);
  const hangUp = new AbortController();
  // before its first token an answer costs nothing: the agent takes a lost connection for an abort
  const leave = () => hangUp.abort();
  if (gone.aborted) leave();
  else gone.addEventListener('abort', leave, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    hangUp.abort();
  }, leftMs);
  const failed = (outcome: Failed): Failed => {
    release();
    if (gone.aborted) return { ...outcome, nodeFailed: false };
    return late || Date.now() >= startedMs + firstTokenDeadlineMs ? timedOut(firstTokenDeadlineMs) : outcome;
  };

  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      // a node that redirects is not one of ours
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) return failed(await refused(response));

    const stream = new NodeStream(node, response.body, { sign, idleDeadlineMs });
    const first = await stream.next(Math.max(1, startedMs + firstTokenDeadlineMs - Date.now()));
    // a mere [DONE] is no answer either
    if (first.kind !== 'chunk') return failed(NODE_FAILED);
    return { ok: true, forwarded: { stream, first, ttftMs: Date.now() - startedMs, release } };
  } catch {
    return failed(NODE_FAILED);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener('abort', leave);
  }
}

const NODE_FAILED: Failed = {
  ok: false,
  refusal: { reason: 'node_failed' },
  retryable: true,
  nodeFailed: true,
};

function timedOut(deadlineMs: number): Failed {
  // the deadline is the client's and it is over: another node has no time left
  return {
    ok: false,
    refusal: { reason: 'first_token_timeout', deadlineMs },
    retryable: false,
    nodeFailed: true,
  };
}

/** What an agent's refusal means. Only what another node could do better is retried; a client's 400 is nobody's fault. */
async function refused(response: Response): Promise<Failed> {
  const error = NodeError.safeParse(await response.json().catch(() => null));
  switch (error.success ? error.data.error.code : 'engine_failed') {
    case 'bad_request': {
      const message = `The engine refused the request: ${error.data!.error.message}`;
      return {
        ok: false,
        refusal: { reason: 'invalid_field', param: null, message },
        retryable: false,
        nodeFailed: false,
      };
    }
    case 'overloaded': {
      const seconds = Number(response.headers.get('retry-after'));
      const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 1_000;
      return {
        ok: false,
        refusal: { reason: 'overloaded', retryAfterMs },
        retryable: true,
        nodeFailed: false,
      };
    }
    default:
      return NODE_FAILED;
  }
}
