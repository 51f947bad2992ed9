/** Raw tokens of an answer: what the weights wrote, before any parser of the engine has read it. */
import { type Ask, exchange, type Target } from './exchange.ts';

/** How an engine writes a token that is part of a character. */
export const PART_OF_A_CHARACTER = '\ufffd';

/**
 * Asks the same once more, whole and with log-probabilities, which name every token. The last part of a character is given
 * as the character, which only the whole text shows.
 */
export async function rawTokens(target: Target, ask: Ask): Promise<string[]> {
  const { stream, stream_options, top_logprobs, n, ...body } = ask.body as Record<string, unknown>;
  const isText = body.prompt !== undefined;
  const answer = await exchange(target, { ...ask, body: { ...body, logprobs: isText ? 0 : true } });
  if (answer.status !== 200) throw new Error(`The twin of a request was refused: ${JSON.stringify(answer)}`);
  const [choice] = (answer.body as { choices: Choice[] }).choices;
  const tokens = isText
    ? (choice!.logprobs as TextLogprobs).tokens
    : (choice!.logprobs as ChatLogprobs).content.map(({ token }) => token);
  return withCharacters(tokens, characters(choice!));
}

interface Choice {
  text?: string;
  message?: { content: string | null };
  logprobs: unknown;
}
type TextLogprobs = { tokens: string[] };
type ChatLogprobs = { content: { token: string }[] };

/** The answer's characters that take several tokens; in the made vocabulary that is each one past ASCII. */
function characters({ text, message }: Choice): string[] {
  return [...(text ?? message?.content ?? '')].filter(
    (each) => each > '\x7f' && each !== PART_OF_A_CHARACTER,
  );
}

function withCharacters(tokens: readonly string[], left: string[]): string[] {
  const PARTS = 3;
  let parts = 0;
  return tokens.map((token) => {
    if (token !== PART_OF_A_CHARACTER) return token;
    parts += 1;
    return parts % PARTS === 0 ? left.shift()! : token;
  });
}
