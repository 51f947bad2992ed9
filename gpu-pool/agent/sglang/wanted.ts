/** Decides in which form the engine is asked for an answer, and makes the prompt's tokens where that needs them. */
import type { AnswerPrefix, GenerateRequest } from '../../protocol/schemas.ts';
import type { Engine } from '../engine-client.ts';
import type { ParserNames } from '../parse/formats.ts';
import { isRequestError, type RequestError } from '../request-error.ts';
import { answerFormat, demandsGrammar } from './answer-format.ts';
import { answerPrefix, continuedPrompt } from './continuation.ts';
import type { Wanted } from './request.ts';
import { tokenizePrompt } from './tokenize.ts';

type WantedForm = Omit<Wanted, 'engineBudget'>;

interface Served {
  parsers: ParserNames;
  modelPath: string;
}

export async function wantedAnswer(
  engine: Engine,
  request: GenerateRequest,
  { parsers, modelPath }: Served,
): Promise<WantedForm | RequestError> {
  const prefix = answerPrefix(request);
  if (prefix !== null) return continuedAnswer(engine, request, { prefix, parsers, modelPath });
  const format = answerFormat(request, parsers);
  if (format === null || format.calls === null) return { format, promptIds: null };
  const promptIds = await tokenizePrompt(engine, request, modelPath);
  // An engine that makes no tokens of a prompt refuses it when it is asked with the messages, and says why.
  return promptIds === null ? { format: null, promptIds } : { format, promptIds };
}

/** An answer that goes on: only where the agent takes it apart itself, and no grammar would have to go on with it. */
async function continuedAnswer(
  engine: Engine,
  request: GenerateRequest,
  { prefix, parsers, modelPath }: Served & { prefix: AnswerPrefix },
): Promise<WantedForm | RequestError> {
  const format = answerFormat(request, parsers);
  if (format === null || demandsGrammar(request)) return CANNOT;
  const thinks = parsers.reasoning !== null;
  const promptIds = await continuedPrompt(engine, request, { prefix, modelPath, thinks });
  if (isRequestError(promptIds)) return promptIds;
  const goesOnIn = prefix.content === null ? ('thought' as const) : ('answer' as const);
  return { format: { ...format, goesOnIn }, promptIds };
}

const CANNOT: RequestError = {
  code: 'bad_request',
  message:
    'This node’s model cannot go on from a begun answer together with what else the request asks for. Leave out the beginning, or the tools or format.',
};
