/** A request as it fits the model's context, and how its answer is asked for. The engine has not received it yet. */
import type { GenerateRequest, RequestClaims } from '../protocol/schemas.ts';
import { contextTooShort, fitContext } from './context-window.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError } from './request-error.ts';
import { maxTokensPerChoice, type Wanted } from './sglang/request.ts';
import { wantedAnswer } from './sglang/wanted.ts';
import { type ThoughtBudget, thoughtBudget } from './thought-budget.ts';

export interface Fitted {
  request: GenerateRequest;
  wanted: Wanted;
  /** Null: the thought has none. */
  budget: ThoughtBudget | null;
}

export async function fitRequest(
  { engine, watch }: GenerateContext,
  whole: GenerateRequest,
  claims: RequestClaims,
): Promise<Fitted | RequestError> {
  if (claims.context_tokens !== undefined) watch.sellsContext(claims.context_tokens);
  const tooShort = contextTooShort(watch.roomTokens, claims);
  if (tooShort !== null) return tooShort;
  const request = { ...whole, max_tokens: maxTokensPerChoice(whole, claims) };
  const { parsers, roomTokens } = watch;
  const modelPath = watch.info.model_path;
  const wanted = await wantedAnswer(engine, request, { parsers, modelPath });
  if (isRequestError(wanted)) return wanted;
  const promptTokens = wanted.promptIds?.length ?? null;
  const fitted = await fitContext({ engine, modelPath, roomTokens }, request, claims, promptTokens);
  if (isRequestError(fitted)) return fitted;
  const { format } = wanted;
  const budget = request.prompt_only
    ? null
    : thoughtBudget(request, { format, engineKeeps: watch.keepsThoughtBudgets });
  if (budget !== null && isRequestError(budget)) return budget;
  // The engine counts the tag that closes the thought beside its budget, and bills it as reasoning.
  const engineBudget = budget?.keeper === 'engine' ? Math.max(1, budget.tokens - 1) : null;
  return {
    request: { ...request, max_tokens: fitted.maxTokens },
    wanted: { ...wanted, engineBudget },
    budget,
  };
}
