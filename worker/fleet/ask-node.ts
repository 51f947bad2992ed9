/** The known prompt, sent to a node as the gateway sends a customer's request, in nobody's name and for nobody's money. */
import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import { CANARY_REQUEST, CANARY_SUBJECT, type CanaryAnswer, type CanaryFault } from '../domain/canary.ts';
import type { NodeView } from '../domain/node.ts';
import { fromNodeUsage, NO_USAGE } from '../domain/usage.ts';
import { config, type Env } from '../env.ts';
import { readNodeErrorBody } from '../gateway/node/error.ts';
import { type NodeEvent, NodeStream } from '../gateway/node/stream.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';

/** An idle node answers a short prompt in a second or two; one that needs longer is not ready for customers. */
const FIRST_TOKEN_MS_MAX = 30_000;
/** For the whole of an answer: 64 tokens at one a second would still be far too slow. */
const ANSWER_MS_MAX = 60_000;
/** A token makes one chunk, the change from reasoning to answer and the end a few more: past this it never ends. */
const CHUNKS_MAX = 4 * CANARY_REQUEST.max_tokens;

/** One request. @returns its whole answer, or why there is none; never throws for what the node does */
export async function askNode(
  env: Env,
  node: NodeView,
  requestId: string,
): Promise<CanaryAnswer | CanaryFault> {
  const settings = config(env);
  const { modelId: model } = node;
  const claims = { sub: CANARY_SUBJECT, jti: requestId, model, max_tokens: CANARY_REQUEST.max_tokens };
  const headers = () => nodeHeaders(settings, node.id, claims);
  const asking = await headers();
  const startedMs = Date.now();
  const isLate = () => Date.now() - startedMs >= FIRST_TOKEN_MS_MAX;
  const hangUp = new AbortController();
  const timer = setTimeout(() => hangUp.abort(), FIRST_TOKEN_MS_MAX);
  let stream: NodeStream | undefined;
  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: asking,
      body: JSON.stringify(CANARY_REQUEST),
      // a node that redirects is not one of ours
      redirect: 'manual',
      signal: hangUp.signal,
    });
    if (!response.ok || response.body === null) return await refusalOf(response);
    stream = new NodeStream(node, response.body, { headers, idleDeadlineMs: settings.idleDeadlineMs });
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
  const refusal = await readNodeErrorBody(response);
  return refusal ? `refused_${refusal.code}` : 'not_an_agent';
}
