/**
 * The budget of a thought, and whether engine or agent keeps it. An engine that was started for it does so exactly and in every form of answer. For
 * any other the agent stops the engine at the budget, closes the thought and has the engine go on behind it. No grammar
 * starts behind a thought that was closed from outside, so that way has neither JSON answers nor demanded calls.
 */
import type { GenerateRequest } from '../protocol/schemas.ts';
import type { AnswerFormat } from './parse/answer-parser.ts';
import type { RequestError } from './request-error.ts';
import { demandsGrammar } from './sglang/answer-format.ts';

export interface ThoughtBudget {
  readonly tokens: number;
  readonly keeper: 'engine' | 'agent';
  /** Whether the agent can close the thought, should the engine not do it. */
  readonly closable: boolean;
}

/**
 * Tokens past its budget at which a thought shows that the engine does not keep it: the tag that ends it, and three tokens of
 * a character of four, whose text the engine holds back.
 */
const ENGINE_SLACK = 4;

/** @returns null: none is to be kept; an error: one is, and cannot be */
export function thoughtBudget(
  request: GenerateRequest,
  { format, engineKeeps }: { format: AnswerFormat | null; engineKeeps: boolean },
): ThoughtBudget | null | RequestError {
  const { thinking_budget: tokens, thinking_budget_hint: isHint, n = 1 } = request;
  const thinks = request.messages !== undefined && format?.parsers.reasoning !== null;
  // Behind a thought that the prompt has closed, an engine that kept a budget would write the closing tag into the answer.
  if (tokens === undefined || !thinks || format?.goesOnIn === 'answer') return null;
  const closable = format !== null && n === 1 && !demandsGrammar(request);
  if (engineKeeps) return { tokens, keeper: 'engine', closable };
  if (closable) return { tokens, keeper: 'agent', closable };
  if (isHint) return null;
  const message =
    'This node can keep no budget of a thought together with several choices, JSON output or a required tool call. Leave out the budget or the other.';
  return { code: 'bad_request', message };
}

/** The tokens with which a thought that is still open has used up its budget: no more of them count. */
export function thoughtLimit({ tokens, keeper }: ThoughtBudget): number {
  return keeper === 'engine' ? tokens + ENGINE_SLACK : tokens;
}
