/**
 * Calls of DeepSeek V3.2:
 * `<｜DSML｜function_calls>\n<｜DSML｜invoke name="NAME">\n<｜DSML｜parameter name="KEY" string="true">VALUE</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>`.
 * The arguments may also be one JSON object. Each call is held back until its end.
 */
import { jsonText, objectText } from './argument-value.ts';
import { type Parser, type Piece, wholeCall } from './piece.ts';
import { Prose } from './prose.ts';
import { findTag, HeldText } from './tags.ts';

const CALLS_BEGIN = '<｜DSML｜function_calls>';
const CALLS_END = '</｜DSML｜function_calls>';
const INVOKE = '<｜DSML｜invoke';
const INVOKE_END = '</｜DSML｜invoke>';
const MARKUP = [CALLS_BEGIN, CALLS_END, INVOKE, INVOKE_END];
const HEADER = /^\s+name="([^"]+)"\s*$/;
const PARAMETER =
  /<｜DSML｜parameter\s+name="([^"]+)"\s+string="([^"]+)"\s*>([\s\S]*?)<\/｜DSML｜parameter>/g;

export class DsmlCalls implements Parser {
  readonly #prose = new Prose();
  #state: 'prose' | 'header' | 'call' = 'prose';
  #buffer = '';
  #name = '';
  readonly #call = new HeldText(INVOKE_END);

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    return this.#state === 'prose' ? this.#prose.end(rest) : [];
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'prose':
        return this.#inProse(pieces);
      case 'header':
        return this.#inHeader(pieces);
      case 'call':
        return this.#inCall(pieces);
    }
  }

  #inProse(pieces: Piece[]): boolean {
    const { at, tag } = findTag(this.#buffer, MARKUP);
    pieces.push(...this.#prose.feed(this.#buffer.slice(0, at)));
    this.#buffer = this.#buffer.slice(at + (tag?.length ?? 0));
    if (tag === null) return false;
    this.#prose.call();
    if (tag === INVOKE) this.#state = 'header';
    return true;
  }

  #inHeader(pieces: Piece[]): boolean {
    const end = this.#buffer.indexOf('>');
    if (end < 0) return false;
    const header = this.#buffer.slice(0, end);
    const closed = header.endsWith('/');
    this.#name = HEADER.exec(closed ? header.slice(0, -1) : header)?.[1]?.trim() ?? '';
    this.#buffer = this.#buffer.slice(end + 1);
    this.#state = closed ? 'prose' : 'call';
    if (closed && this.#name !== '') pieces.push(...wholeCall(this.#name, '{}'));
    return true;
  }

  #inCall(pieces: Piece[]): boolean {
    const ended = this.#call.add(this.#buffer);
    this.#buffer = ended?.rest ?? '';
    if (ended === null) return false;
    const json = argumentsOf(ended.body);
    // A call without one of its arguments would be worse than none.
    if (json !== null && this.#name !== '') pieces.push(...wholeCall(this.#name, json));
    this.#state = 'prose';
    return true;
  }
}

/** The arguments as a JSON text; null where some of them cannot be read. */
function argumentsOf(body: string): string | null {
  if (body.trimStart().startsWith('{')) return jsonText(body);
  const parameters = [...body.matchAll(PARAMETER)];
  const members = parameters.map(([, key = '', isString, value = '']): [string, string] => [
    key,
    isString === 'true' ? JSON.stringify(value.trim()) : (jsonText(value) ?? JSON.stringify(value.trim())),
  ]);
  const rest = body.replace(PARAMETER, '');
  if (rest.includes('｜DSML｜') || (parameters.length === 0 && rest.trim() !== '')) return null;
  return objectText(members);
}
