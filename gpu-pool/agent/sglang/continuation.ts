/**
 * Answers that go on from a beginning which the client has written. The prompt is the conversation's, up to where the model
 * begins its answer, and behind it the text so far. The engine does the same for `continue_final_message`, but tells nobody
 * whether its chat template has opened a thought already, so that a tag could be there twice (serving_chat.py,
 * `_handle_last_assistant_message`).
 */
import type { AnswerPrefix, GenerateRequest } from '../../protocol/schemas.ts';
import type { Engine } from '../engine-client.ts';
import { THINK, THINK_END } from '../parse/thought.ts';
import type { RequestError } from '../request-error.ts';
import { tokenizeOrRefuse, tokenizeText } from './tokenize.ts';

/** Templates put at most two line breaks behind a tag, of a token each. */
const BEHIND_TAG_TOKENS_MAX = 2;

/** The beginning of the answer; null: it begins anew. */
export function answerPrefix({ messages }: Pick<GenerateRequest, 'messages'>): AnswerPrefix | null {
  const last = messages?.at(-1);
  return last?.role === 'answer_prefix' ? last : null;
}

/**
 * The tokens of the prompt with the beginning of the answer.
 * @param thinks whether the model has thoughts between tags
 */
export async function continuedPrompt(
  engine: Engine,
  request: GenerateRequest,
  { prefix, modelPath, thinks }: { prefix: AnswerPrefix; modelPath: string; thinks: boolean },
): Promise<number[] | RequestError> {
  const before = { ...request, messages: request.messages?.slice(0, -1) };
  const [prompt, open, close] = await Promise.all([
    tokenizeOrRefuse(engine, before, modelPath),
    thinks ? tokenizeText(engine, THINK, modelPath) : [],
    thinks ? tokenizeText(engine, THINK_END, modelPath) : [],
  ]);
  if (prompt === 'refused')
    return { code: 'bad_request', message: 'The model’s chat template cannot render the conversation.' };
  if (prompt === null || open === null || close === null) return NO_TOKENS;
  const text = thinks ? prefixText(prefix, thoughtAtEnd(prompt, { open, close })) : prefix.content;
  if (text === null)
    return { code: 'bad_request', message: 'The thought cannot go on: the chat template has closed it.' };
  const ids = text === '' ? [] : await tokenizeText(engine, text, modelPath);
  return ids === null ? NO_TOKENS : [...prompt, ...ids];
}

const NO_TOKENS: RequestError = { code: 'engine_failed', message: 'The engine cannot tokenize the prompt.' };

/** The state of the thought in which the chat template leaves the prompt, where the answer begins. */
export type ThoughtAtEnd = 'open' | 'closed' | 'none';

export function thoughtAtEnd(
  prompt: readonly number[],
  { open, close }: { open: readonly number[]; close: readonly number[] },
): ThoughtAtEnd {
  const [opened, closed] = [lastNearEnd(prompt, open), lastNearEnd(prompt, close)];
  if (opened < 0 && closed < 0) return 'none';
  return closed > opened ? 'closed' : 'open';
}

/** Where a tag stands at the end of a prompt, but for line breaks; -1: it does not. */
function lastNearEnd(prompt: readonly number[], tag: readonly number[]): number {
  for (let behind = 0; behind <= BEHIND_TAG_TOKENS_MAX; behind += 1) {
    const at = prompt.length - behind - tag.length;
    if (at >= 0 && tag.length > 0 && tag.every((id, index) => prompt[at + index] === id)) return at;
  }
  return -1;
}

/** The text to go on from, behind the prompt; null: there is no thought that could go on. */
export function prefixText(
  { content, reasoning_content: thought }: AnswerPrefix,
  state: ThoughtAtEnd,
): string | null {
  if (state === 'closed') return content;
  const opening = state === 'open' ? '' : THINK;
  if (content === null) return opening + (thought ?? '');
  // An answer without a thought has the blanks that models write around an empty one.
  return opening + (thought === undefined ? `\n${THINK_END}\n\n` : thought + THINK_END) + content;
}
