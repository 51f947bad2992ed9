/**
 * Hand-written parsers of a node's chunks and errors. Every token of every answer is a chunk and zod takes ten times as
 * long; besides, an isolate need not build the protocol's schemas. The parsers are exactly as strict as the schemas
 * `NodeChunk` and `NodeError`, which serve as their test oracles (tests/domain/node-chunk.test.ts): they reject the same
 * input and drop the same unknown fields.
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

/** Input that the protocol does not allow. It is thrown and caught within this file. */
class ProtocolViolation extends Error {}

/** A text choice as agents write it, without escapes. Most chunks of prose match; those of code or JSON do not. */
const TEXT_CHOICE =
  /\{"index":(\d),"delta":\{"(reasoning_)?content":"([ !#-[\]-\uffff]*)"\},"finish_reason":null\}/;
const USAGE =
  /\{"prompt_tokens":N,"cached_tokens":N,"completion_tokens":N,"reasoning_tokens":N\}/.source.replaceAll(
    'N',
    '(0|[1-9]\\d*)',
  );
const TEXT_CHUNK = new RegExp(`^\\{"choices":\\[${TEXT_CHOICE.source}\\],"usage":${USAGE}\\}$`);

/**
 * Reads a chunk that carries plain text from its JSON without JSON.parse, since every token of every answer is one.
 * @returns null when the chunk has another form; then JSON.parse and `readNodeChunk` must read it
 */
export function readTextChunk(data: string): NodeChunk | null {
  const match = TEXT_CHUNK.exec(data);
  if (match === null) return null;
  const text = match[3]!;
  const usage = {
    prompt_tokens: Number(match[4]),
    cached_tokens: Number(match[5]),
    completion_tokens: Number(match[6]),
    reasoning_tokens: Number(match[7]),
  };
  if (!isSound(usage)) return null;
  const delta = match[2] === undefined ? { content: text } : { reasoning_content: text };
  return { choices: [{ index: Number(match[1]), delta, finish_reason: null }], usage };
}

/** @param json as JSON.parse returned it. @returns null when it is not a chunk of the protocol */
export function readNodeChunk(json: unknown): NodeChunk | null {
  return nullOnViolation(() => {
    const { choices, usage } = fields(json);
    return { choices: list(choices).map(readChoice), usage: readUsage(fields(usage)) };
  });
}

/** @param json as JSON.parse returned it. @returns null when it is not an error of the protocol */
export function readNodeError(json: unknown): NodeError['error'] | null {
  return nullOnViolation(() => {
    const { code, message, context } = fields(fields(json).error);
    const error: NodeError['error'] = { code: oneOf(NODE_ERROR_CODES, code), message: text(message) };
    if (context !== undefined) {
      const { prompt_tokens, context_tokens } = fields(context);
      error.context = {
        prompt_tokens: tokenCount(prompt_tokens),
        context_tokens: tokenCount(context_tokens),
      };
    }
    return error;
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
  const { index, id, type, function: called } = fields(value);
  const { name, arguments: args } = fields(called);
  return {
    index: count(index),
    ...(id === undefined ? {} : { id: text(id) }),
    ...(type === undefined ? {} : { type: type === 'function' ? type : violation() }),
    function: {
      ...(name === undefined ? {} : { name: text(name) }),
      ...(args === undefined ? {} : { arguments: text(args) }),
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
  return isSound(usage) ? usage : violation();
}

function tokenCount(value: unknown): number {
  const tokens = count(value);
  return tokens <= TOKENS_MAX ? tokens : violation();
}

function isSound(usage: NodeChunk['usage']): boolean {
  const { prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens } = usage;
  // cached and reasoning tokens are parts of these two
  const largest = Math.max(prompt_tokens, completion_tokens);
  return largest <= TOKENS_MAX && cached_tokens <= prompt_tokens && reasoning_tokens <= completion_tokens;
}

function nullOnViolation<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolViolation) return null;
    throw error;
  }
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : violation();
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : violation();
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : violation();
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : violation();
}

function finish(value: unknown): FinishReason | null {
  return value === null ? value : oneOf(FINISH_REASONS, value);
}

function oneOf<Literal>(literals: readonly Literal[], value: unknown): Literal {
  return literals.includes(value as Literal) ? (value as Literal) : violation();
}

function violation(): never {
  throw new ProtocolViolation();
}
