/**
 * Calls of Qwen and Hermes: `<tool_call>\n{"name": "NAME", "arguments": {…}}\n</tool_call>`, each in tags of its own.
 * Arguments are passed on as they come where the name comes first, as these models write it.
 */

import { JsonEnd } from '../../protocol/json-end.ts';
import { JSON_CALL } from './call-start.ts';
import { type Parser, type Piece, wholeCall } from './piece.ts';
import { Prose } from './prose.ts';
import { findTag, HeldText } from './tags.ts';

const BEGIN = '<tool_call>';
const END = '</tool_call>';
const HEAD = /^\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/;
/** Names with their keys are no longer than this; what is longer waits for the end of the call. */
const HEAD_LENGTH_MAX = 512;

export class JsonCalls implements Parser {
  readonly #prose = new Prose();
  #state: 'prose' | 'head' | 'arguments' | 'behind' | 'whole' = 'prose';
  #buffer = '';
  #arguments = new JsonEnd();
  readonly #whole = new HeldText(END);

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    const cut = this.#state === 'whole' ? this.#whole.take() : rest;
    switch (this.#state) {
      case 'prose':
        return this.#prose.end(rest);
      case 'head':
      case 'whole':
        // A call whose end tag is missing may be whole; what was cut off before its arguments is none.
        return wholeCalls(cut) ?? [];
      case 'arguments':
      case 'behind':
        return [];
    }
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'prose':
        return this.#inProse(pieces);
      case 'head':
        return this.#inHead(pieces);
      case 'arguments':
        return this.#inArguments(pieces);
      case 'behind':
        return this.#behindArguments();
      case 'whole':
        return this.#inWhole(pieces);
    }
  }

  #inProse(pieces: Piece[]): boolean {
    const { at, tag } = findTag(this.#buffer, [BEGIN]);
    pieces.push(...this.#prose.feed(this.#buffer.slice(0, at)));
    this.#buffer = this.#buffer.slice(at + (tag?.length ?? 0));
    if (tag !== null) this.#state = 'head';
    return tag !== null;
  }

  #inHead(pieces: Piece[]): boolean {
    const begins = JSON_CALL.begins(this.#buffer);
    if (begins === null) return false;
    if (!begins) {
      pieces.push(...this.#prose.feed(BEGIN));
      this.#state = 'prose';
      return true;
    }
    const { at, tag } = findTag(this.#buffer, [END]);
    const head = HEAD.exec(this.#buffer.slice(0, Math.min(at, HEAD_LENGTH_MAX)));
    if (head !== null) {
      this.#prose.call();
      pieces.push({ kind: 'call', name: JSON.parse(head[1] ?? '""') as string });
      this.#buffer = this.#buffer.slice(head[0].length);
      this.#arguments = new JsonEnd();
      this.#state = 'arguments';
      return true;
    }
    if (tag === null && at < HEAD_LENGTH_MAX) return false;
    this.#state = 'whole';
    return true;
  }

  #inArguments(pieces: Piece[]): boolean {
    const end = this.#arguments.feed(this.#buffer);
    const text = this.#buffer.slice(0, end ?? this.#buffer.length);
    if (text !== '') pieces.push({ kind: 'arguments', text });
    this.#buffer = this.#buffer.slice(text.length);
    if (end !== null) this.#state = 'behind';
    return end !== null;
  }

  #behindArguments(): boolean {
    const { at, tag } = findTag(this.#buffer, [END, BEGIN]);
    // A call whose end tag is missing ends where the next begins.
    this.#buffer = this.#buffer.slice(tag === END ? at + tag.length : at);
    if (tag !== null) this.#state = 'prose';
    return tag !== null;
  }

  #inWhole(pieces: Piece[]): boolean {
    const ended = this.#whole.add(this.#buffer);
    this.#buffer = ended?.rest ?? '';
    if (ended === null) return false;
    const calls = wholeCalls(ended.body);
    if (calls !== null) this.#prose.call();
    // Text in these tags that is no call stays text.
    pieces.push(...(calls ?? this.#prose.feed(BEGIN + ended.body + ended.end)));
    this.#state = 'prose';
    return true;
  }
}

/** The calls that a whole JSON text describes; null: it describes none. */
export function wholeCalls(json: string): Piece[] | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const calls = (Array.isArray(value) ? value : [value]).map(describedCall);
  const known = calls.filter((call) => call !== null);
  return known.length > 0 && known.length === calls.length ? known.flat() : null;
}

function describedCall(value: unknown): Piece[] | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, parameters, arguments: given } = value as Record<string, unknown>;
  if (typeof name !== 'string' || name === '') return null;
  return wholeCall(name, JSON.stringify(parameters ?? given ?? {}));
}
