/**
 * Text and earlier tool calls as the engine can take them. It refuses a whole conversation for half a surrogate pair, where
 * a text was cut inside an emoji, and for a call whose arguments are no JSON object, where an answer was cut inside a call.
 */
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';

const REPLACEMENT = '\uFFFD';

/** JSON in which every half of a surrogate pair is replaced; `JSON.stringify` writes halves as escapes, and nothing else so. */
export function wellFormedJson(json: string): string {
  // the first search costs next to nothing, and most long texts have no escape
  if (!json.includes('\\') || !/\\ud/i.test(json)) return json;
  return json.replaceAll(
    /(\\ud[89ab][\da-f]{2}\\ud[c-f][\da-f]{2})|\\ud[89a-f][\da-f]{2}|\\./gi,
    (written, pair: string | undefined) =>
      pair === undefined && /^\\ud/i.test(written) ? REPLACEMENT : written,
  );
}

/** The message with calls whose arguments are JSON objects. */
export function withObjectArguments(message: ChatMessage): ChatMessage {
  if (message.role !== 'assistant' || message.tool_calls === undefined) return message;
  const calls = message.tool_calls.map((call) => {
    const { name, arguments: written } = call.function;
    return { ...call, function: { name, arguments: wellFormedJson(objectText(written)) } };
  });
  return { ...message, tool_calls: calls };
}

/** The text where it is a JSON object; else an object that shows the model what the call had in its place. */
function objectText(written: string): string {
  if (written.trim() === '') return '{}';
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    return JSON.stringify({ incomplete_arguments: written });
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? written : JSON.stringify({ value });
}
