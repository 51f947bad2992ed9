/**
 * Control tokens of the models' chat templates in text that a client wrote. A tokenizer takes `<｜User｜>` in a message for
 * the beginning of a turn, so text that merely quotes a token would forge one. Such text is broken by an invisible
 * character, and every other text stays as it is, byte for byte.
 */
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';

/**
 * The text behind the `<` of each control token, by family of templates. All families are broken for all models, because a
 * request is measured before its model is known.
 */
const TOKENS = {
  // Full-width bars, as in `<｜tool▁calls▁begin｜>`; `<|EOT|>` is the only token with others.
  deepseek: ['｜[^\\s｜<>]{1,64}｜>', '/?think>', '\\|EOT\\|>'],
} as const;

const TOKEN = new RegExp(`<(?=${Object.values(TOKENS).flat().join('|')})`, 'gu');

/** WORD JOINER: it has no width, and allows no line break. */
export const JOINER = '\u2060';

/** The text, or JSON of it, with a joiner behind the first character of every control token. */
export function breakTokens(text: string): string {
  return text.replace(TOKEN, `<${JOINER}`);
}

/** The message as the template would render it if nothing but its own tokens were tokens: `breakTokens` does the rest. */
export function plainMessage(message: ChatMessage): ChatMessage {
  if (message.role !== 'assistant') return message;
  const { content, tool_calls: calls } = message;
  return {
    ...message,
    content: content === null ? null : withoutThought(content),
    ...(calls && { tool_calls: calls.map(plainCall) }),
  };
}

const END_OF_THOUGHT = '</think>';

/**
 * DeepSeek's template drops the thought of an earlier answer, up to its last end tag. It would no longer find the tag once
 * that is broken, so the thought is dropped here.
 */
function withoutThought(content: string): string {
  const end = content.lastIndexOf(END_OF_THOUGHT);
  return end < 0 ? content : content.slice(end + END_OF_THOUGHT.length);
}

type ToolCall = NonNullable<Extract<ChatMessage, { role: 'assistant' }>['tool_calls']>[number];

/**
 * The engine parses arguments as JSON and renders them again, which would bring to light a token that is written with
 * escapes, such as `\u003cthink>`.
 */
function plainCall(call: ToolCall): ToolCall {
  const { name, arguments: written } = call.function;
  if (!written.includes('\\')) return call;
  const plain = written.replaceAll(/\\(?:u([\da-f]{4})|(.))/gisu, unescaped);
  return breakTokens(plain) === plain ? call : { ...call, function: { name, arguments: plain } };
}

/** The character of an escape that JSON does not need; the escape itself where it does. */
function unescaped(written: string, hex: string | undefined, char: string | undefined): string {
  if (hex === undefined) return char === '/' ? '/' : written;
  const code = Number.parseInt(hex, 16);
  const isNeeded = code < 0x20 || code === 0x22 || code === 0x5c || (code >= 0xd800 && code <= 0xdfff);
  return isNeeded ? written : String.fromCharCode(code);
}
