/**
 * Sends a node the canary prompt exactly as the gateway sends a customer's request. It belongs to no account, so
 * nothing is billed.
 */
import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import {
  CANARY_PROMPT_TOKENS_MAX,
  CANARY_REQUEST,
  CANARY_SUBJECT,
  type CanaryAnswer,
  type CanaryFault,
} from '../domain/canary.ts';
import type { NodeView } from '../domain/node.ts';
import { fromNodeUsage, NO_USAGE } from '../domain/usage.ts';
import { config, type Env } from '../env.ts';
import { readNodeErrorBody } from '../gateway/node/error.ts';
import { type NodeEvent, NodeStream } from '../gateway/node/stream.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';

/** An idle node answers a short prompt in a second or two; one that needs longer is not ready for customers. */
const FIRST_TOKEN_MS_MAX = 30_000;
/** Deadline of the whole answer. Even 64 tokens at one a second, which is far too slow, would only just miss it. */
const ANSWER_MS_MAX = 60_000;
/**
 * Most chunks of an answer. Each token makes one, reasoning and the end a few more; an answer beyond this is taken to
 * be endless.
 */
const CHUNKS_MAX = 4 * CANARY_REQUEST.max_tokens;

/**
 * Makes one request. It never throws for what the node does.
 * @param contextTokens the longest prompt that the model is sold with; the agent checks that its engine takes it
 * @returns the whole answer, or why there is none
 */
export async function askNode(
  env: Env,
  node: NodeView,
  requestId: string,
  contextTokens?: number,
): Promise<CanaryAnswer | CanaryFault> {
  const settings = config(env);
  const { modelId: model } = node;
  const claims = {
    sub: CANARY_SUBJECT,
    jti: requestId,
    model,
    max_tokens: CANARY_REQUEST.max_tokens,
    context_tokens: contextTokens,
    prompt_tokens_max: CANARY_PROMPT_TOKENS_MAX,
  };
  const headers = () => nodeHeaders(settings, node.id, claims);
  const requestHeaders = await headers();
  const startedMs = Date.now();
  const isLate = () => Date.now() - startedMs >= FIRST_TOKEN_MS_MAX;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), FIRST_TOKEN_MS_MAX);
  let stream: NodeStream | undefined;
  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: requestHeaders,
      body: JSON.stringify(CANARY_REQUEST),
      // An agent never redirects, so a redirect is not followed.
      redirect: 'manual',
      signal: abort.signal,
    });
    if (!response.ok || response.body === null) return await faultOf(response);
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
  deadlineMs: number,
): Promise<CanaryAnswer | CanaryFault> {
  let usage = NO_USAGE;
  let reasoned = false;
  let event = first;
  for (let chunks = 0; event.kind === 'chunk'; chunks++) {
    if (chunks > CHUNKS_MAX || Date.now() >= deadlineMs) return 'broken_off';
    usage = fromNodeUsage(event.chunk.usage);
    reasoned ||= event.chunk.choices.some(({ delta }) => (delta.reasoning_content ?? '') !== '');
    event = await stream.next(Math.max(1, deadlineMs - Date.now()));
  }
  return event.kind === 'end' ? { usage, reasoned } : 'broken_off';
}

/** Why the node refused. A body that is not in the protocol's form did not come from an agent. */
async function faultOf(response: Response): Promise<CanaryFault> {
  const error = await readNodeErrorBody(response);
  return error ? `refused_${error.code}` : 'not_an_agent';
}
