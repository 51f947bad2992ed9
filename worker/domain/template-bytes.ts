/**
 * The bytes that SGLang's chat template adds to a prompt, so that the bytes of a request bound its tokens: a byte-level
 * BPE never makes more tokens than bytes, and each special token of the template counts as one.
 *
 * The engine does not render the JSON that it was sent. It fills in each tool's missing fields and writes tools, and the
 * arguments of earlier calls, as Python's json.dumps does (`tojson`): with a space behind every comma and colon, and with
 * numbers in Python's notation. Source: serving_chat.py and protocol.py of SGLang 0.5.20, and its
 * tool_chat_template_deepseekr1.jinja and …deepseekv3.jinja.
 */
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';

/** The text with which both templates introduce tools: 440 bytes. */
const TOOLS_INTRODUCTION_BYTES = 512;
/**
 * For each tool `"description": null, `, `"parameters": null, `, `, "strict": false`, `, "defer_loading": null` and the
 * code fence around it: 95 bytes.
 */
const TOOL_BYTES = 112;
/** `1e15` becomes `1000000000000000.0`; no number of Python's is longer than 24 characters. */
const EXPONENT_BYTES = 22;
/** An integer past 64 bits, which has 19 digits or more, becomes a float of at most 24 characters. */
const LONG_INTEGER_DIGITS = 19;
const LONG_INTEGER_BYTES = 8;

/**
 * Bytes that a prompt can have beyond those of its fields as JSON.
 * @param tools their number, and all of them as JSON
 */
export function templateBytes(
  messages: readonly ChatMessage[],
  tools: { count: number; json: string },
): number {
  const ofMessages = messages.reduce((bytes, message) => bytes + messageBytes(message), 0);
  if (tools.count === 0) return ofMessages;
  return ofMessages + TOOLS_INTRODUCTION_BYTES + TOOL_BYTES * tools.count + dumpedBytes(tools.json);
}

/**
 * The JSON around a message (`{"role":"user","content":""}`) is longer than what the template puts around its text, so only
 * the arguments of calls count. That holds for the sentence of 106 bytes, too, which V3's template puts before the results
 * of calls: the JSON of a call and its result has 183.
 */
function messageBytes(message: ChatMessage): number {
  if (message.role !== 'assistant') return 0;
  return (message.tool_calls ?? []).reduce((bytes, call) => bytes + dumpedBytes(call.function.arguments), 0);
}

/** Bytes by which Python's json.dumps of a JSON text can be longer than the text. One pass, since a body may be 4 MiB. */
function dumpedBytes(json: string): number {
  let bytes = 0;
  let digits = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code >= CHAR['0'] && code <= CHAR['9']) {
      digits += 1;
      if (digits === LONG_INTEGER_DIGITS) bytes += LONG_INTEGER_BYTES;
      continue;
    }
    if (code === CHAR[','] || code === CHAR[':']) bytes += 1;
    else if (digits > 0 && (code === CHAR.e || code === CHAR.E)) bytes += EXPONENT_BYTES;
    digits = 0;
  }
  return bytes;
}

const CHAR = { ',': 0x2c, ':': 0x3a, '0': 0x30, '9': 0x39, e: 0x65, E: 0x45 } as const;
