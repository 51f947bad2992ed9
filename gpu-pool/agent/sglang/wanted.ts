/** Decides in which form the engine is asked for an answer, and makes the prompt's tokens where that needs them. */
import type { GenerateRequest } from '../../protocol/schemas.ts';
import type { Engine } from '../engine-client.ts';
import type { ParserNames } from '../parse/formats.ts';
import { answerFormat } from './answer-format.ts';
import type { Wanted } from './request.ts';
import { tokenizePrompt } from './tokenize.ts';

export async function wantedAnswer(
  engine: Engine,
  request: GenerateRequest,
  { parsers, modelPath }: { parsers: ParserNames; modelPath: string },
): Promise<Omit<Wanted, 'engineBudget'>> {
  const format = answerFormat(request, parsers);
  if (format === null || format.calls === null) return { format, promptIds: null };
  const promptIds = await tokenizePrompt(engine, request, modelPath);
  // An engine that makes no tokens of a prompt refuses it when it is asked with the messages, and says why.
  return promptIds === null ? { format: null, promptIds } : { format, promptIds };
}
