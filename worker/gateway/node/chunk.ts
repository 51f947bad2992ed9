/**
 * A chunk of a node, and its refusal, read by hand: each token of each answer is a chunk, and zod's interpreter takes ten
 * times as long; an isolate need not make the protocol's schemas either. As strict as `NodeChunk` and `NodeError` there, which
 * are its oracles (tests/domain/node-chunk.test.ts): the same is refused, and what is not named there is left behind.
 */

import {
  FINISH_REASONS,
  type FinishReason,
  NODE_ERROR_CODES,
  TOKENS_MAX,
} from '../../../gpu-pool/protocol/constants.ts';
import type { NodeChunk, NodeError } from '../../../gpu-pool/protocol/schemas.ts';

type Fields = Readonly<Record<string, unknown>>;
type Choice = NodeChunk['choices'][number];
type ToolCall = NonNullable<Choice['delta']['tool_calls']>[number];

/** Thrown and caught within this file. */
class OutsideTheProtocol extends Error {}

/** A piece of text as agents write it, with nothing escaped: so are most chunks of prose, not those of code or JSON. */
const CHOICE =
  /\{"index":(\d),"delta":\{"(reasoning_)?content":"([ !#-[\]-\uffff]*)"\},"finish_reason":null\}/;
const USAGE =
  /\{"prompt_tokens":N,"cached_tokens":N,"completion_tokens":N,"reasoning_tokens":N\}/.source.replaceAll(
    'N',
    '(0|[1-9]\\d*)',
  );
const PIECE = new RegExp(`^\\{"choices":\\[${CHOICE.source}\\],"usage":${USAGE}\\}$`);

/**
 * A piece of text from its JSON, without JSON.parse: each token of each answer is one.
 * @returns null: something else, or not as agents write it; JSON.parse and `readNodeChunk` know
 */
export function readPiece(data: string): NodeChunk | null {
  const found = PIECE.exec(data);
  if (found === null) return null;
  const said = found[3]!;
  const usage = {
    prompt_tokens: Number(found[4]),
    cached_tokens: Number(found[5]),
    completion_tokens: Number(found[6]),
    reasoning_tokens: Number(found[7]),
  };
  if (!isSound(usage)) return null;
  const delta = found[2] === undefined ? { content: said } : { reasoning_content: said };
  return { choices: [{ index: Number(found[1]), delta, finish_reason: null }], usage };
}

/** @param json as JSON.parse gave it. @returns null: no chunk */
export function readNodeChunk(json: unknown): NodeChunk | null {
  return insideTheProtocol(() => {
    const { choices, usage } = fields(json);
    return { choices: list(choices).map(readChoice), usage: readUsage(fields(usage)) };
  });
}

/** @param json as JSON.parse gave it. @returns null: no refusal */
export function readNodeError(json: unknown): NodeError['error'] | null {
  return insideTheProtocol(() => {
    const { code, message } = fields(fields(json).error);
    return { code: oneOf(NODE_ERROR_CODES, code), message: text(message) };
  });
}

function readChoice(value: unknown): Choice {
  const { index, delta, finish_reason, stop_sequence, logprobs } = fields(value);
  const choice: Choice = {
    index: count(index),
    delta: readDelta(fields(delta)),
    finish_reason: finish(finish_reason),
  };
  if (stop_sequence !== undefined) choice.stop_sequence = text(stop_sequence);
  if (logprobs !== undefined) choice.logprobs = logprobs;
  return choice;
}

function readDelta({ content, reasoning_content, tool_calls }: Fields): Choice['delta'] {
  const delta: Choice['delta'] = {};
  if (content !== undefined) delta.content = text(content);
  if (reasoning_content !== undefined) delta.reasoning_content = text(reasoning_content);
  if (tool_calls !== undefined) delta.tool_calls = list(tool_calls).map(readToolCall);
  return delta;
}

function readToolCall(value: unknown): ToolCall {
  const { index, id, type, function: named } = fields(value);
  const { name, arguments: given } = fields(named);
  return {
    index: count(index),
    ...(id === undefined ? {} : { id: text(id) }),
    ...(type === undefined ? {} : { type: type === 'function' ? type : refuse() }),
    function: {
      ...(name === undefined ? {} : { name: text(name) }),
      ...(given === undefined ? {} : { arguments: text(given) }),
    },
  };
}

function readUsage({
  prompt_tokens,
  cached_tokens,
  completion_tokens,
  reasoning_tokens,
}: Fields): NodeChunk['usage'] {
  const usage = {
    prompt_tokens: count(prompt_tokens),
    cached_tokens: count(cached_tokens),
    completion_tokens: count(completion_tokens),
    reasoning_tokens: count(reasoning_tokens),
  };
  return isSound(usage) ? usage : refuse();
}

function isSound(usage: NodeChunk['usage']): boolean {
  const { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = usage;
  // the other two are parts of these
  const most = Math.max(prompt_tokens, completion_tokens);
  return most <= TOKENS_MAX && cached_tokens <= prompt_tokens && reasoning_tokens <= completion_tokens;
}

function insideTheProtocol<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof OutsideTheProtocol) return null;
    throw error;
  }
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : refuse();
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : refuse();
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : refuse();
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : refuse();
}

function finish(value: unknown): FinishReason | null {
  return value === null ? value : oneOf(FINISH_REASONS, value);
}

function oneOf<Word>(words: readonly Word[], value: unknown): Word {
  return words.includes(value as Word) ? (value as Word) : refuse();
}

function refuse(): never {
  throw new OutsideTheProtocol();
}
