/** The part of step 2 that turns the client's settings of reasoning into what the node is sent. */
import type { Model } from '../db/catalogue.ts';
import { priceAt, type Tariff } from '../domain/pricing.ts';
import { steer } from '../domain/reasoning.ts';
import { joinNames } from '../domain/unread-fields.ts';
import type { ApiError } from '../http/api-error.ts';
import type { ChatRequest } from './dialects/chat-request.ts';

/** The facts that decide the price of a request. */
export interface Terms {
  readonly tariff: Tariff;
  /** the time of admission */
  readonly nowMs: number;
}

/** The request with what the model's profile makes of the settings, or the error of one that the model cannot meet. */
export function steered(
  request: ChatRequest,
  model: Model,
  { tariff, nowMs }: Terms,
): { ok: true; request: ChatRequest } | { ok: false; error: ApiError } {
  const askedTokens = request.maxTokens ?? model.outputTokensDefault;
  const steering = steer(request.reasoning, {
    id: model.id,
    thinking: model.profile.thinking,
    isTextCompletion: request.generate.prompt !== undefined,
    askedTokens,
    maxTokens: Math.min(askedTokens, model.outputTokensMax),
    choices: request.choices,
    // A model without a price in force is not served.
    outputNanoUsd: priceAt(model.prices, tariff, nowMs)?.outputNanoUsd ?? 0,
  });
  if (!steering.ok) {
    const { param, message } = steering;
    return { ok: false, error: { reason: 'invalid_field', param, message } };
  }
  const { templateVariables, thinkingBudget, isHint, ignored } = steering;
  const generate = {
    ...request.generate,
    template_variables: templateVariables,
    thinking_budget: thinkingBudget,
    thinking_budget_hint: isHint || undefined,
  };
  return { ok: true, request: { ...request, generate, ignored: joinNames(request.ignored, ignored) } };
}
