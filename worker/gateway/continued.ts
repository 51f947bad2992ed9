/** The part of step 2 that fits a begun answer to the model: what goes on in a thought, what behind it, and what cannot. */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { AnswerPrefix } from '../../gpu-pool/protocol/schemas.ts';
import { continuesAnswers, prefixOf, withOwnThought } from '../domain/answer-prefix.ts';
import { NO_SETTINGS } from '../domain/reasoning.ts';
import { joinNames } from '../domain/unread-fields.ts';
import type { ApiError } from '../http/api-error.ts';
import type { ChatRequest } from './dialects/chat-request.ts';

type Continued = { ok: true; request: ChatRequest } | { ok: false; error: ApiError };

/** The request with the beginning of its answer as the model can go on with it; a request without one as it is. */
export function continued(request: ChatRequest, model: { id: string; profile: ModelProfile }): Continued {
  const given = prefixOf(request.generate.messages);
  if (given === null) return { ok: true, request };
  const { prefixField: param = request.promptField } = request;
  const refuse = (field: string, message: string): Continued => ({
    ok: false,
    error: { reason: 'invalid_field', param: field, message: `\`${field}\`: ${message}` },
  });
  if (!continuesAnswers(model.profile))
    return refuse(param, `${model.id} cannot go on with a begun answer. End with a message of the user’s.`);
  const beside = withGrammar(request);
  if (beside !== null)
    return refuse(
      beside,
      'cannot shape an answer that has begun. Leave it out, or end with a user’s message.',
    );
  const prefix = model.profile.parsers.reasoning === null ? given : withOwnThought(given);
  const thinks = model.profile.thinking.mode !== 'never' && request.reasoning?.enabled !== false;
  if (prefix.content === null && !thinks)
    return refuse(param, 'there is no thought to go on with: the model is not to think, or never does.');
  return { ok: true, request: withPrefix(request, prefix, { thinks }) };
}

/** The field of a grammar, which holds for whole answers only; null: there is none. */
function withGrammar({ generate }: ChatRequest): string | null {
  const { response_format: format, tool_choice: choice } = generate;
  if (format !== undefined && format.type !== 'text') return 'response_format';
  return choice === 'required' || typeof choice === 'object' ? 'tool_choice' : null;
}

/** A thought that the model goes on from, or behind, asks a model that can be switched to think. */
function withPrefix(
  request: ChatRequest,
  { content, reasoning_content: thought }: AnswerPrefix,
  { thinks }: { thinks: boolean },
): ChatRequest {
  const hasThought = thought !== undefined || content === null;
  const kept = hasThought && thinks;
  const prefix: AnswerPrefix = {
    ...{ role: 'answer_prefix', content },
    ...(kept && thought !== undefined && { reasoning_content: thought }),
  };
  return {
    ...request,
    reasoning: kept
      ? { ...NO_SETTINGS, ...request.reasoning, enabled: request.reasoning?.enabled ?? true }
      : request.reasoning,
    ignored: hasThought && !kept ? joinNames(request.ignored, [request.thoughtField]) : request.ignored,
    generate: { ...request.generate, messages: [...request.generate.messages!.slice(0, -1), prefix] },
  };
}
