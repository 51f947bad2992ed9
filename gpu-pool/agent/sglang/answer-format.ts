/** Decides how an answer is read: by the agent from the engine's raw text, or by the engine's own parsers. */
import { hasThinkTags } from '../../protocol/constants.ts';
import type { GenerateRequest } from '../../protocol/schemas.ts';
import type { AnswerFormat } from '../parse/answer-parser.ts';
import { callGrammar, writesList } from '../parse/call-grammar.ts';
import { knowsCalls, type ParserNames } from '../parse/formats.ts';

/**
 * The format of an answer that the agent takes apart itself; null: the engine is left to do it, because its parsers are of
 * a family that the agent does not know, or because there is nothing to take apart.
 */
export function answerFormat(request: GenerateRequest, parsers: ParserNames): AnswerFormat | null {
  if (request.messages === undefined || !hasThinkTags(parsers.reasoning)) return null;
  if (!mayCall(request)) return { parsers, calls: null };
  if (!knowsCalls(parsers.tools)) return null;
  const mustCall = demandOf(request) !== 'may';
  // The engine refuses two grammars at once, and says so.
  if (mustCall && wantsJson(request)) return null;
  const tools = (request.tools ?? []).map(({ function: { name, parameters } }) => ({ name, parameters }));
  const priorCalls = request.messages.reduce(
    (count, message) => count + (message.role === 'assistant' ? (message.tool_calls?.length ?? 0) : 0),
    0,
  );
  return { parsers, calls: { tools, priorCalls, list: mustCall && writesList(parsers.tools) } };
}

/** The grammar of the calls that a request demands; undefined where it demands nothing of them. */
export function grammarOf(request: GenerateRequest, parsers: ParserNames): object | undefined {
  const demand = demandOf(request);
  const choice = request.tool_choice;
  const named = typeof choice === 'object' ? choice.function.name : null;
  const tools = (request.tools ?? [])
    .filter(({ function: { name } }) => named === null || name === named)
    .map(({ function: { name, parameters, strict } }) => ({
      name,
      parameters: parameters ?? null,
      strict: strict ?? false,
    }));
  return callGrammar(parsers.tools ?? '', { calls: demand, tools }) ?? undefined;
}

/** Whether the answer may have calls. */
function mayCall({ tools, tool_choice }: GenerateRequest): boolean {
  return tools !== undefined && tools.length > 0 && tool_choice !== 'none';
}

/** Whether a grammar decides what the answer may be. */
export function demandsGrammar(request: GenerateRequest): boolean {
  return wantsJson(request) || (mayCall(request) && demandOf(request) !== 'may');
}

/** Whether the answer has to be JSON. */
export function wantsJson(request: GenerateRequest): boolean {
  const type = request.response_format?.type;
  return type !== undefined && type !== 'text';
}

function demandOf({ tool_choice: choice }: GenerateRequest): 'may' | 'must' | 'must_this' {
  if (typeof choice === 'object') return 'must_this';
  return choice === 'required' ? 'must' : 'may';
}
