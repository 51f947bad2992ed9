/**
 * Has a node count the tokens of a prompt, by the model's own tokenizer and chat template. Nodes are chosen as for a request
 * of the same conversation, but a count holds nothing, counts as no load, and is no node's fault when it fails.
 */
import { COUNT_PATH } from '../../../gpu-pool/protocol/constants.ts';
import { CountAnswer, NodeError } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeView } from '../../domain/node.ts';
import { config, type Env } from '../../env.ts';
import type { ApiError } from '../../http/api-error.ts';
import { nodeHeaders } from '../../tokens/node-headers.ts';
import { poolSnapshot } from '../model-cache.ts';
import { chooseNode } from '../route.ts';

/** As many as a request tries. */
const NODES_MAX = 3;
/** The agent gives its engine 20 s; the rest is for the way there. */
const DEADLINE_MS = 25_000;

export interface CountRequest {
  readonly requestId: string;
  readonly accountId: string;
  readonly modelId: string;
  /** JSON of a GenerateRequest */
  readonly body: string;
  readonly conversation: number;
  /** an estimate, for the choice of a node */
  readonly promptTokens: number;
  readonly home: { readonly nodeId: string; readonly cachedTokens: number } | null;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

type Counted = { ok: true; promptTokens: number } | { ok: false; error: ApiError };

export async function askNodes(env: Env, request: CountRequest): Promise<Counted> {
  const { modelId, accountId, conversation, promptTokens, home, waitUntil } = request;
  const tried = new Set<string>();
  let error: ApiError = { reason: 'model_not_available', model: modelId };
  while (tried.size < NODES_MAX) {
    const nowMs = Date.now();
    const snapshot = await poolSnapshot(env, modelId, nowMs, waitUntil).catch(() => null);
    if (snapshot === null) break;
    const party = { accountId, background: false };
    const choice = chooseNode(snapshot, { affinity: conversation, promptTokens, home, tried, party }, nowMs);
    if (choice.node === null) {
      if (choice.retryAfterMs !== null) error = { reason: 'overloaded', retryAfterMs: choice.retryAfterMs };
      break;
    }
    tried.add(choice.node.id);
    const counted = await ask(env, choice.node, request);
    if (counted !== null) return counted;
  }
  return { ok: false, error };
}

/** @returns null: another node may do better */
async function ask(env: Env, node: NodeView, request: CountRequest): Promise<Counted | null> {
  const { requestId, accountId, modelId, body } = request;
  const claims = { sub: accountId, jti: requestId, model: modelId, max_tokens: 1 };
  try {
    const response = await fetch(node.url + COUNT_PATH, {
      method: 'POST',
      headers: await nodeHeaders(config(env), node.id, claims),
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const answer: unknown = await response.json();
    if (response.ok) return { ok: true, promptTokens: CountAnswer.parse(answer).prompt_tokens };
    const { error } = NodeError.parse(answer);
    if (error.code !== 'bad_request') return null;
    const message = `The engine refused the request: ${error.message}`;
    return { ok: false, error: { reason: 'invalid_field', param: null, message } };
  } catch {
    // unreachable, too late, or an agent of a version that cannot count
    return null;
  }
}
