/**
 * Control tokens of a model's chat template in text that a client wrote. A tokenizer takes `<｜User｜>` in a message for
 * the beginning of a turn, so text that merely quotes a token would forge one. Such text is broken by an invisible
 * character, and every other text stays as it is, byte for byte.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';

/** The rules of a model's chat template for clients' text, compiled from its profile once and used for every request. */
export interface TemplateRules {
  /** The first character of each control token, where the rest follows; null: the template has no tokens. */
  readonly tokens: RegExp | null;
  /** The tag at which a thought ends inside an answer's text; null: the template has none. */
  readonly endOfThought: string | null;
  readonly earlierReasoning: ModelProfile['earlierReasoning'];
  /** The bytes that it adds to a prompt; undefined: they were not measured. */
  readonly bytes: ModelProfile['templateBytes'];
}

export function templateRules(profile: ModelProfile): TemplateRules {
  const { controlTokens, earlierReasoning, templateBytes } = profile;
  return {
    tokens: controlTokens.length === 0 ? null : new RegExp(controlTokens.map(beginningOf).join('|'), 'gu'),
    endOfThought: controlTokens.includes(END_OF_THOUGHT) ? END_OF_THOUGHT : null,
    earlierReasoning,
    bytes: templateBytes,
  };
}

const END_OF_THOUGHT = '</think>';
/** The profile's `*`. Quotation marks and backslashes end it, so that in JSON it never spans two texts. */
const ANY = '[^<>\\s"\\\\]{1,64}';

function beginningOf(token: string): string {
  const [first = '', ...rest] = token;
  const following = rest.map((char) => (char === '*' ? ANY : escaped(char))).join('');
  return `${escaped(first)}(?=${following})`;
}

function escaped(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}

/** WORD JOINER: it has no width, and allows no line break. */
export const JOINER = '\u2060';

/** The text, or JSON of it, with a joiner behind the first character of every control token. */
export function breakTokens(text: string, { tokens }: Pick<TemplateRules, 'tokens'>): string {
  return tokens === null ? text : text.replace(tokens, `$&${JOINER}`);
}

/**
 * The message as the template would render it if nothing but its own tokens were tokens: `breakTokens` does the rest.
 * @param hasTools whether the request has tools, on which the fate of earlier reasoning may depend
 */
export function plainMessage(message: ChatMessage, rules: TemplateRules, hasTools: boolean): ChatMessage {
  if (message.role !== 'assistant') return message;
  const { content, tool_calls: calls, reasoning_content: given, ...rest } = message;
  const { thought, answer } = parted(content, rules.endOfThought);
  const reasoning = keepsReasoning(rules, hasTools) ? (given ?? thought) : undefined;
  return {
    ...rest,
    content: answer,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(calls && { tool_calls: calls.map((call) => plainCall(call, rules)) }),
  };
}

export function keepsReasoning({ earlierReasoning }: TemplateRules, hasTools: boolean): boolean {
  return earlierReasoning === 'kept' || (earlierReasoning === 'with_tools' && hasTools);
}

/**
 * Parts an earlier answer from a thought that stands before it in the same text, up to the last end tag. Templates do so
 * themselves, but would no longer find the tag once it is broken.
 */
function parted(content: string | null, endTag: string | null): { thought?: string; answer: string | null } {
  const end = content === null || endTag === null ? -1 : content.lastIndexOf(endTag);
  if (end < 0) return { answer: content };
  const thought = content!.slice(0, end).replace(/^\s*<think>/, '');
  return { thought, answer: content!.slice(end + endTag!.length) };
}

type ToolCall = NonNullable<Extract<ChatMessage, { role: 'assistant' }>['tool_calls']>[number];

/**
 * The engine parses arguments as JSON and renders them again, which would bring to light a token that is written with
 * escapes, such as `\u003cthink>`.
 */
function plainCall(call: ToolCall, rules: TemplateRules): ToolCall {
  const { name, arguments: written } = call.function;
  if (!written.includes('\\')) return call;
  const plain = written.replaceAll(/\\(?:u([\da-f]{4})|(.))/gisu, unescaped);
  return breakTokens(plain, rules) === plain ? call : { ...call, function: { name, arguments: plain } };
}

/** The character of an escape that JSON does not need; the escape itself where it does. */
function unescaped(written: string, hex: string | undefined, char: string | undefined): string {
  if (hex === undefined) return char === '/' ? '/' : written;
  const code = Number.parseInt(hex, 16);
  const isNeeded = code < 0x20 || code === 0x22 || code === 0x5c || (code >= 0xd800 && code <= 0xdfff);
  return isNeeded ? written : String.fromCharCode(code);
}
