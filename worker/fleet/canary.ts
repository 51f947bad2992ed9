/**
 * Tries a node that gets no customers yet: the canary's two requests, sent as the gateway sends a customer's. What the
 * edge sees is written down here; the node's receipt decides (canary-receipts.ts).
 */
import { GENERATE_PATH } from '../../gpu-pool/protocol.ts';
import { beginTry, canaryStanding, noteTry } from '../db/canary.ts';
import { loadCatalogue } from '../db/catalogue.ts';
import { database } from '../db/client.ts';
import { findNode } from '../db/nodes.ts';
import {
  answersFault,
  CANARY_REQUEST,
  CANARY_SUBJECT,
  type CanaryAnswer,
  type CanaryFault,
  newCanaryIds,
  nextTryAtMs,
} from '../domain/canary.ts';
import type { NodeView } from '../domain/node.ts';
import { isGone } from '../domain/routing/health.ts';
import { fromNodeUsage, NO_USAGE, type Usage } from '../domain/usage.ts';
import { config, type Env } from '../env.ts';
import { readNodeRefusal } from '../gateway/node-refusal.ts';
import { type NodeEvent, NodeStream } from '../gateway/node-stream.ts';
import { signRequestToken } from './edge-keys.ts';

/** An idle node answers a short prompt in a second or two; one that needs longer is not ready for customers. */
const FIRST_TOKEN_MS_MAX = 30_000;
/** For the whole of an answer: 64 tokens at one a second would still be far too slow. */
const ANSWER_MS_MAX = 60_000;
/** A token makes one chunk, the change from reasoning to answer and the end a few more: past this it never ends. */
const CHUNKS_MAX = 4 * CANARY_REQUEST.max_tokens;

/** Safe to repeat, also at the same instant: D1 lets one call begin a try, and only one that is due. */
export async function runCanary(env: Env, nodeId: string, nowMs: number): Promise<void> {
  const db = database(env);
  const { state, sinceMs, tries } = await canaryStanding(db, nodeId);
  const dueAtMs = nextTryAtMs(tries, sinceMs);
  if (state !== 'canary' || dueAtMs === null || nowMs < dueAtMs) return;
  const [node, catalogue] = await Promise.all([viewOf(env, nodeId), loadCatalogue(db)]);
  const model = catalogue.find(({ id }) => id === node?.modelId);
  // it went away while the task waited: its heartbeats will order another
  if (node === null || model === undefined) return;

  const { firstId, secondId } = newCanaryIds(nowMs);
  const begun = { requestId: secondId, nodeId, atMs: nowMs, newest: tries[0] };
  if (!(await beginTry(db, begun))) return;
  await noteTry(db, secondId, await attempt(env, { node, model, requestIds: [firstId, secondId] }));
}

/** The node as its Pool sees it, at the address that D1 has of it; null while it is gone, without an engine, or leaving. */
async function viewOf(env: Env, nodeId: string): Promise<NodeView | null> {
  const registered = await findNode(database(env), nodeId);
  if (registered === null) return null;
  const { nodes } = await env.POOL.getByName(registered.modelId).snapshot();
  const view = nodes.find(({ id }) => id === nodeId);
  if (!view || isGone(view.health) || view.draining) return null;
  return { ...view, url: registered.url };
}

interface Attempt {
  readonly node: NodeView;
  readonly model: { readonly reasoning: boolean };
  readonly requestIds: readonly [string, string];
}

async function attempt(
  env: Env,
  { node, model, requestIds: [firstId, secondId] }: Attempt,
): Promise<{ usage: Usage | null; fault: CanaryFault | null }> {
  const first = await ask(env, node, firstId);
  if (typeof first === 'string') return { usage: null, fault: first };
  const second = await ask(env, node, secondId);
  if (typeof second === 'string') return { usage: null, fault: second };
  return { usage: second.usage, fault: answersFault([first, second], model) };
}

/** One request. @returns its whole answer, or why there is none; never throws for what the node does */
async function ask(env: Env, node: NodeView, requestId: string): Promise<CanaryAnswer | CanaryFault> {
  const settings = config(env);
  const claims = {
    aud: node.id,
    sub: CANARY_SUBJECT,
    jti: requestId,
    model: node.modelId,
    max_tokens: CANARY_REQUEST.max_tokens,
  };
  const sign = () => signRequestToken(settings, claims, Date.now());
  const token = await sign();
  const startedMs = Date.now();
  const isLate = () => Date.now() - startedMs >= FIRST_TOKEN_MS_MAX;
  const hangUp = new AbortController();
  const timer = setTimeout(() => hangUp.abort(), FIRST_TOKEN_MS_MAX);
  let stream: NodeStream | undefined;
  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(CANARY_REQUEST),
      // a node that redirects is not one of ours
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) return await refusalOf(response);
    stream = new NodeStream(node, response.body, { sign, idleDeadlineMs: settings.idleDeadlineMs });
    const first = await stream.next(Math.max(1, startedMs + FIRST_TOKEN_MS_MAX - Date.now()));
    if (first.kind !== 'chunk') return isLate() ? 'first_token_late' : 'broken_off';
    clearTimeout(timer);
    return await readAnswer(stream, first, startedMs + ANSWER_MS_MAX);
  } catch {
    return isLate() ? 'first_token_late' : 'unreachable';
  } finally {
    clearTimeout(timer);
    await stream?.close();
  }
}

async function readAnswer(
  stream: NodeStream,
  first: NodeEvent,
  byMs: number,
): Promise<CanaryAnswer | CanaryFault> {
  let usage = NO_USAGE;
  let reasoned = false;
  let event = first;
  for (let chunks = 0; event.kind === 'chunk'; chunks++) {
    if (chunks > CHUNKS_MAX || Date.now() >= byMs) return 'broken_off';
    usage = fromNodeUsage(event.chunk.usage);
    reasoned ||= event.chunk.choices.some(({ delta }) => (delta.reasoning_content ?? '') !== '');
    event = await stream.next(Math.max(1, byMs - Date.now()));
  }
  return event.kind === 'end' ? { usage, reasoned } : 'broken_off';
}

/** Why the agent takes no request; what is not in its words comes from somebody else. */
async function refusalOf(response: Response): Promise<CanaryFault> {
  const refusal = await readNodeRefusal(response);
  return refusal ? `refused_${refusal.code}` : 'not_an_agent';
}
