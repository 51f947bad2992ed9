/**
 * Step 2, for every route and every line of a batch: the dialect reads the body, the catalogue names the model, what the
 * model cannot do is refused before anything is held, and the rest is rendered as the model takes it.
 */
import { findModel, type Model } from '../db/catalogue.ts';
import { repetitionFault, TOOLS_BOUNDS } from '../domain/grammar.ts';
import { findAlias, type ModelAlias, withEffort } from '../domain/model-alias.ts';
import { hasBegun, hasEnded, modelEnded, onSale, withStandingSuccessor } from '../domain/model-end.ts';
import { isServing } from '../domain/node.ts';
import { repeatsBySeed } from '../domain/supported-parameters.ts';
import { joinNames } from '../domain/unread-fields.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import { continued } from './continued.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import type { Dialect, DialectModelRequest } from './dialects/dialect.ts';
import { catalogue, poolSnapshot } from './model-cache.ts';
import type { WaitUntil } from './node/pool-snapshots.ts';
import { forModel } from './rendered.ts';
import { steered, type Terms } from './steered.ts';

export type ReadRequest =
  | { ok: true; dialectRequest: DialectModelRequest; model: Model }
  | { ok: false; error: ApiError };

export async function readRequest(
  env: Env,
  dialect: Dialect,
  options: {
    body: Record<string, unknown>;
    headers: Headers;
    /** The account's own names for models, which go before those of the catalogue. */
    aliases: readonly ModelAlias[];
    waitUntil: WaitUntil;
  } & Terms,
): Promise<ReadRequest> {
  const { body, headers, aliases, waitUntil, ...terms } = options;
  const parsed = dialect.read(body, headers);
  if (!parsed.ok) return parsed;
  const { dialectRequest } = parsed;
  const { request: asked } = dialectRequest;
  const models = await catalogue(env, terms.nowMs);
  const alias = findAlias(aliases, asked.model);
  const request = alias ? { ...asked, reasoning: withEffort(asked.reasoning, alias) } : asked;
  const found = findModel(models, alias?.modelId ?? asked.model);
  const model = found && withStandingSuccessor(found, models, terms.nowMs);
  if (!model || !hasBegun(model, terms.nowMs)) {
    const available = onSale(models, terms.nowMs).map(({ id }) => id);
    return { ok: false, error: { reason: 'model_not_found', requested: request.model, available } };
  }
  if (hasEnded(model, terms.nowMs)) return { ok: false, error: modelEnded(model) };
  const error = unsupportedBy(model, request) ?? toolChoiceError(request) ?? minTokensError(model, request);
  if (error) return { ok: false, error };
  const begun = continued(request, model);
  if (!begun.ok) return begun;
  const steering = steered(begun.request, model, terms);
  if (!steering.ok) return steering;
  const unmet = await withoutEffect(env, request, { modelId: model.id, nowMs: terms.nowMs, waitUntil });
  const read = { ...steering.request, ignored: joinNames(steering.request.ignored, unmet) };
  return { ok: true, dialectRequest: { ...dialectRequest, request: forModel(read, model) }, model };
}

/** The fields that this model's nodes, or the rest of the request, leave without effect. */
async function withoutEffect(
  env: Env,
  { generate: { seed, tools = [], response_format: format } }: ChatRequest,
  options: { modelId: string; nowMs: number; waitUntil: WaitUntil },
): Promise<string[]> {
  const names: string[] = [];
  if (seed !== undefined) {
    // The isolate keeps the snapshot, which the request is routed by in a moment.
    const pool = await poolSnapshot(env, options.modelId, options.nowMs, options.waitUntil).catch(() => null);
    if (!repeatsBySeed(pool?.nodes.filter(isServing) ?? [])) names.push('seed');
  }
  // The grammar of a JSON answer leaves no room for a call.
  if (tools.length > 0 && format !== undefined && format.type !== 'text') names.push('tools');
  return names;
}

/** Log probabilities are refused for reasoning models, as DeepSeek's own API refuses them for `deepseek-reasoner`. */
function unsupportedBy(model: Model, request: ChatRequest): ApiError | null {
  const { logprobs, top_logprobs } = request.generate;
  if (!model.reasoning || (!logprobs && top_logprobs === undefined)) return null;
  const param = logprobs ? 'logprobs' : 'top_logprobs';
  const message = `\`${param}\`: not available for ${model.id}, a reasoning model. Leave it out.`;
  return { reason: 'invalid_field', param, message };
}

/**
 * A least number of tokens that cannot be kept. Until it is reached the engine lets no answer end, and behind a complete
 * JSON text or call its grammar allows nothing but the end.
 */
function minTokensError(model: Model, { generate, maxTokens }: ChatRequest): ApiError | null {
  const { min_tokens: min, response_format: format, tool_choice: choice } = generate;
  if (min === undefined) return null;
  const max = Math.min(maxTokens ?? model.outputTokensDefault, model.outputTokensMax);
  const refuse = (message: string): ApiError => ({ reason: 'invalid_field', param: 'min_tokens', message });
  if (min > max)
    return refuse(
      `\`min_tokens\` is ${min}, and the answer has at most ${max}. Send less, or a larger limit.`,
    );
  const isForced = choice === 'required' || typeof choice === 'object';
  if (!isForced && (format === undefined || format.type === 'text')) return null;
  return refuse('`min_tokens` cannot be kept in a JSON answer or a forced call. Leave out one of the two.');
}

/**
 * A tool choice that the tools do not fulfil. The engine would refuse it with the same status, but only after the request
 * has been held, routed and sent.
 */
function toolChoiceError({ generate }: ChatRequest): ApiError | null {
  const { tools = [], tool_choice: choice, response_format: format } = generate;
  const refuse = (message: string): ApiError => ({ reason: 'invalid_field', param: 'tool_choice', message });
  const forces = choice === 'required' || typeof choice === 'object';
  if (forces && format !== undefined && format.type !== 'text')
    return refuse(
      '`tool_choice` forces a call, and the format that is asked for is one of a text answer. Leave out one of the two.',
    );
  if (choice === 'required' && tools.length === 0)
    return refuse('`tool_choice` requires a call, and `tools` is empty. Send tools, or leave it out.');
  // The engine makes a grammar of all tools where the answer has to be a call.
  const fault = forces ? repetitionFault(tools, TOOLS_BOUNDS) : null;
  if (fault !== null)
    return {
      reason: 'invalid_field',
      param: 'tools',
      message: `\`tools\` ${fault}, or do not force a call.`,
    };
  if (typeof choice !== 'object') return null;
  if (tools.some((tool) => tool.function.name === choice.function.name)) return null;
  return refuse(
    `\`tool_choice\` names ${choice.function.name}, which is not in \`tools\`. Add that tool, or choose another.`,
  );
}
