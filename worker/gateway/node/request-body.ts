/**
 * The JSON body of `POST /v1/generate`. The prompt fields may be long and were serialized when the client's body was
 * read, so that text is reused; only the short fields are serialized here.
 */
import type { AnswerFormat, Budget } from '../../../gpu-pool/protocol/answer-format.ts';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { type Price, toTokenPrice } from '../../domain/pricing.ts';
import { type ModelRequest, RENDERED } from '../dialects/chat-request.ts';

const isRendered: ReadonlySet<string> = new Set(RENDERED);

export function nodeBody(
  { generate, rendered }: Pick<ModelRequest, 'generate' | 'rendered'>,
  more: Pick<GenerateRequest, 'max_tokens' | 'cache_salt' | 'background' | 'prompt_only'>,
): string {
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(generate)) if (!isRendered.has(name)) rest[name] = value;
  Object.assign(rest, more);
  return `{${rendered},${JSON.stringify(rest).slice(1)}`;
}

/** Completes the body when it is sent, with the size that the hold has by then. */
export type GenerateBody = (heldNanoUsd: number) => string;

export function generateBody(
  body: string,
  { admission, format }: { admission: { price: Price }; format: AnswerFormat },
): GenerateBody {
  const text = `${body.slice(0, -1)},"answer":${JSON.stringify(format)},"budget":`;
  return (heldNanoUsd) => `${text}${JSON.stringify(budgetOf(admission, heldNanoUsd))}}`;
}

/** The money that the answer may cost. */
export function budgetOf({ price }: { price: Price }, heldNanoUsd: number): Budget {
  return { held_nano_usd: heldNanoUsd, price: toTokenPrice(price) };
}
