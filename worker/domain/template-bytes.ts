/**
 * The bytes that SGLang's chat template adds to a prompt, so that the bytes of a request bound its tokens: a byte-level
 * BPE never makes more tokens than bytes, and each special token of the template counts as one. A node that counts more
 * tokens than the bound is taken to be mistaken, so the bound must never be too low; where it is too high, only the first
 * hold is larger, and the rest of it returns with the charge.
 *
 * The engine does not render the JSON that it was sent. It fills in each tool's missing fields and writes tools, and the
 * arguments of earlier calls, as Python's json.dumps does (`tojson`): with a space behind every comma and colon, and with
 * numbers in Python's notation. Source: serving_chat.py and protocol.py of SGLang 0.5.20, and its
 * tool_chat_template_deepseekr1.jinja and …deepseekv3.jinja, whose profiles have measured bytes.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';
import { utf8Length } from './grammar.ts';

/** `1e15` becomes `1000000000000000.0`; no number of Python's is longer than 24 characters. */
const EXPONENT_BYTES = 22;
/** An integer past 64 bits, which has 19 digits or more, becomes a float of at most 24 characters. */
const LONG_INTEGER_DIGITS = 19;
const LONG_INTEGER_BYTES = 8;

/**
 * Templates that were not measured. They may have a system prompt of their own, such as gpt-oss' or Magistral's of about
 * 1.5 KiB; introduce tools at length, as DeepSeek-V3.2's does in 1.6 KiB; write a function's name around its result; and
 * write tools and arguments with a tag around each value, which names it twice (Qwen3-Coder, GLM, MiniMax), or indented
 * (Llama). Each of these bounds is about twice what the longest of them needs.
 */
const UNMEASURED = { request: 4_096, message: 256, tools: 4_096, tool: 512, value: 128 } as const;

interface Tools {
  readonly count: number;
  /** All of them as JSON. */
  readonly json: string;
}

/**
 * Bytes that a prompt can have beyond those of its fields as JSON.
 * @param measured the model's `templateBytes`; undefined: they were not measured
 */
export function templateBytes(
  messages: readonly ChatMessage[],
  tools: Tools,
  measured: ModelProfile['templateBytes'],
): number {
  // A raw prompt has no messages, and no template.
  if (messages.length === 0) return 0;
  return measured === undefined ? unmeasuredBytes(messages, tools) : measuredBytes(messages, tools, measured);
}

/**
 * The JSON around a message (`{"role":"user","content":""}`) is longer than what the template puts around its text, so only
 * the arguments of calls count. That holds for the sentence of 106 bytes, too, which V3's template puts before the results
 * of calls: the JSON of a call and its result has 183.
 */
function measuredBytes(
  messages: readonly ChatMessage[],
  tools: Tools,
  measured: NonNullable<ModelProfile['templateBytes']>,
): number {
  const ofCalls = argumentsOf(messages).reduce((bytes, json) => bytes + dumpedBytes(json), 0);
  const ofTools =
    tools.count === 0 ? 0 : measured.tools + measured.tool * tools.count + dumpedBytes(tools.json);
  return measured.request + ofCalls + ofTools;
}

function unmeasuredBytes(messages: readonly ChatMessage[], tools: Tools): number {
  const { request, message, tools: introduction, tool, value } = UNMEASURED;
  const twice = (json: string) => utf8Length(json) + dumpedBytes(json) + value * valuesOf(json);
  const ofCalls = argumentsOf(messages).reduce((bytes, json) => bytes + twice(json), 0);
  const ofTools = tools.count === 0 ? 0 : introduction + tool * tools.count + twice(tools.json);
  return request + message * messages.length + ofCalls + ofTools;
}

/** The arguments of all earlier calls, each as JSON. */
function argumentsOf(messages: readonly ChatMessage[]): string[] {
  return messages.flatMap((message) =>
    message.role === 'assistant' ? (message.tool_calls ?? []).map((call) => call.function.arguments) : [],
  );
}

/** Values of a JSON text, at least: every comma and colon is taken for the sign before one, those in strings, too. */
function valuesOf(json: string): number {
  let values = 1;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === COMMA || code === COLON) values += 1;
  }
  return values;
}

/** Bytes by which Python's json.dumps of a JSON text can be longer than the text. One pass, since a body may be 4 MiB. */
function dumpedBytes(json: string): number {
  let bytes = 0;
  let digits = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code >= ZERO && code <= NINE) {
      digits += 1;
      if (digits === LONG_INTEGER_DIGITS) bytes += LONG_INTEGER_BYTES;
      continue;
    }
    if (code === COMMA || code === COLON) bytes += 1;
    else if (digits > 0 && (code === LOWER_E || code === UPPER_E)) bytes += EXPONENT_BYTES;
    digits = 0;
  }
  return bytes;
}

const COMMA = 0x2c;
const COLON = 0x3a;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_E = 0x65;
const UPPER_E = 0x45;
