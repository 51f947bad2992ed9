/**
 * Sends a node a request of the canary exactly as the gateway sends a customer's. It belongs to no account, so nothing is
 * billed.
 */
import { GENERATE_PATH } from '../../gpu-pool/protocol/constants.ts';
import type { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import {
  ANSWER_MS_MAX,
  CANARY_PROMPT_TOKENS_MAX,
  CANARY_SUBJECT,
  type CanaryAnswer,
  type CanaryFault,
  canaryRequest,
} from '../domain/canary.ts';
import { CanaryTextReader } from '../domain/canary-text.ts';
import type { CanaryModel } from '../domain/canary-thinking.ts';
import type { NodeView } from '../domain/node.ts';
import { fromNodeUsage, NO_USAGE } from '../domain/usage.ts';
import { config, type Env } from '../env.ts';
import { readNodeErrorBody } from '../gateway/node/error.ts';
import { type NodeEvent, NodeStream } from '../gateway/node/stream.ts';
import { nodeHeaders } from '../tokens/node-headers.ts';

/** An idle node answers a short prompt in a second or two; one that needs longer is not ready for customers. */
const FIRST_TOKEN_MS_MAX = 30_000;
/** Most chunks for each token allowed. Each token makes one, and the end a few more; an answer beyond is taken to be endless. */
const CHUNKS_PER_TOKEN_MAX = 4;

export interface Question {
  readonly requestId: string;
  readonly request: GenerateRequest;
  /** The most tokens that the prompt can have. */
  readonly promptTokensMax: number;
  /** Deadline of the whole answer. */
  readonly answerMsMax: number;
  /** The longest prompt that the model is sold with; the agent checks that its engine takes it. */
  readonly contextTokens?: number;
}

/** The canary prompt as a question to a node of this model. */
export function canaryQuestion(
  requestId: string,
  model: CanaryModel & { readonly contextTokens: number },
): Question {
  return {
    requestId,
    request: canaryRequest(model),
    promptTokensMax: CANARY_PROMPT_TOKENS_MAX,
    answerMsMax: ANSWER_MS_MAX,
    contextTokens: model.contextTokens,
  };
}

/**
 * Makes one request. It never throws for what the node does.
 * @returns the whole answer, or why there is none
 */
export async function askNode(
  env: Env,
  node: NodeView,
  question: Question,
): Promise<CanaryAnswer | CanaryFault> {
  const settings = config(env);
  const { request, requestId, contextTokens, promptTokensMax, answerMsMax } = question;
  const claims = {
    sub: CANARY_SUBJECT,
    jti: requestId,
    model: node.modelId,
    max_tokens: request.max_tokens,
    context_tokens: contextTokens,
    prompt_tokens_max: promptTokensMax,
  };
  const requestHeaders = await nodeHeaders(settings, node.id, claims);
  const startedMs = Date.now();
  const isLate = () => Date.now() - startedMs >= FIRST_TOKEN_MS_MAX;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), FIRST_TOKEN_MS_MAX);
  let stream: NodeStream | undefined;
  try {
    const response = await fetch(node.url + GENERATE_PATH, {
      method: 'POST',
      headers: requestHeaders,
      body: JSON.stringify(request),
      // An agent never redirects, so a redirect is not followed.
      redirect: 'manual',
      signal: abort.signal,
    });
    if (!response.ok || response.body === null) return await faultOf(response);
    stream = new NodeStream(response.body, { idleDeadlineMs: settings.idleDeadlineMs });
    const first = await stream.next(Math.max(1, startedMs + FIRST_TOKEN_MS_MAX - Date.now()));
    if (first.kind !== 'chunk') return isLate() ? 'first_token_late' : 'broken_off';
    clearTimeout(timer);
    const chunksMax = CHUNKS_PER_TOKEN_MAX * request.max_tokens;
    return await readAnswer(stream, first, { deadlineMs: startedMs + answerMsMax, chunksMax });
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
  { deadlineMs, chunksMax }: { deadlineMs: number; chunksMax: number },
): Promise<CanaryAnswer | CanaryFault> {
  const text = new CanaryTextReader();
  let usage = NO_USAGE;
  let event = first;
  for (let chunks = 0; event.kind === 'chunk'; chunks++) {
    if (chunks > chunksMax || Date.now() >= deadlineMs) return 'broken_off';
    usage = fromNodeUsage(event.chunk.usage);
    text.add(event.chunk);
    event = await stream.next(Math.max(1, deadlineMs - Date.now()));
  }
  return event.kind === 'end' ? { usage, text: text.text } : 'broken_off';
}

/** Why the node refused. A body that is not in the protocol's form did not come from an agent. */
async function faultOf(response: Response): Promise<CanaryFault> {
  const error = await readNodeErrorBody(response);
  if (error === null) return 'not_an_agent';
  return error.code === 'engine_failed' && error.context ? 'context_short' : `refused_${error.code}`;
}
