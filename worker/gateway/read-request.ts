/**
 * Step 2, for every route and every line of a batch: the dialect reads the body, the catalogue names the model, what the
 * model cannot do is refused before anything is held, and the rest is rendered as the model takes it.
 */
import { findModel, type Model } from '../db/catalogue.ts';
import { hasBegun, hasEnded, modelEnded, onSale } from '../domain/model-end.ts';
import type { Env } from '../env.ts';
import type { ApiError } from '../http/api-error.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import type { Dialect, DialectModelRequest } from './dialects/dialect.ts';
import { catalogue } from './model-cache.ts';
import { forModel } from './rendered.ts';
import { steered, type Terms } from './steered.ts';

export type ReadRequest =
  | { ok: true; dialectRequest: DialectModelRequest; model: Model }
  | { ok: false; error: ApiError };

export async function readRequest(
  env: Env,
  dialect: Dialect,
  { body, headers, ...terms }: { body: Record<string, unknown>; headers: Headers } & Terms,
): Promise<ReadRequest> {
  const read = dialect.read(body, headers);
  if (!read.ok) return read;
  const { dialectRequest } = read;
  const { request } = dialectRequest;
  const models = await catalogue(env, terms.nowMs);
  const model = findModel(models, request.model);
  if (!model || !hasBegun(model, terms.nowMs)) {
    const available = onSale(models, terms.nowMs).map(({ id }) => id);
    return { ok: false, error: { reason: 'model_not_found', requested: request.model, available } };
  }
  if (hasEnded(model, terms.nowMs)) return { ok: false, error: modelEnded(model) };
  const error = unsupportedBy(model, request) ?? toolChoiceError(request);
  if (error) return { ok: false, error };
  const wished = steered(request, model, terms);
  if (!wished.ok) return wished;
  return {
    ok: true,
    dialectRequest: { ...dialectRequest, request: forModel(wished.request, model) },
    model,
  };
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
  if (typeof choice !== 'object') return null;
  if (tools.some((tool) => tool.function.name === choice.function.name)) return null;
  return refuse(
    `\`tool_choice\` names ${choice.function.name}, which is not in \`tools\`. Add that tool, or choose another.`,
  );
}
