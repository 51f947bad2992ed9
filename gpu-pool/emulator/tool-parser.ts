/**
 * Reads tool calls from an answer as SGLang's deepseekv3 parser does (deepseekv3_detector.py). In a stream it depends on
 * how the text was cut: each piece brings either a call's name or its arguments, so a call that ends in the piece that
 * completed it is left without arguments.
 */
import { dumps, parsePython } from './python-json.ts';

export interface ToolDelta {
  index: number;
  /** Null behind the delta that opens a call. */
  name: string | null;
  arguments: string;
}

export interface ReadTools {
  text: string;
  calls: ToolDelta[];
}

const CALLS_BEGIN = '<｜tool▁calls▁begin｜>';
const CALL_BEGIN = '<｜tool▁call▁begin｜>';
/** Markup that is dropped from text outside of calls. */
const STRAY = ['<｜tool▁calls▁end｜>', '```', '<｜tool▁call▁end｜>'];
const WHOLE_CALL = /<｜tool▁call▁begin｜>.*?<｜tool▁call▁end｜>/s;
const CALL = /<｜tool▁call▁begin｜>(.*)<｜tool▁sep｜>(.*)\n```json\n(.*)\n```<｜tool▁call▁end｜>/s;
const OPEN_CALL = /<｜tool▁call▁begin｜>(.*)<｜tool▁sep｜>(.*)\n```json\n(.*)\n```.*/s;

/** Null where the text has no call at all: its finish reason then stays as it is. */
export function readWhole(text: string, names: readonly string[]): ReadTools | null {
  const begin = text.indexOf(CALLS_BEGIN);
  if (begin === -1) return null;
  try {
    const calls = [...text.matchAll(new RegExp(WHOLE_CALL, 'gs'))].flatMap(([markup]) => {
      const [, , name, json] = CALL.exec(markup)!;
      return names.includes(name!) ? [{ name: name!, arguments: dumps(parsePython(json!)) }] : [];
    });
    return { text: text.slice(0, begin).trim(), calls: calls.map((call, index) => ({ index, ...call })) };
  } catch {
    return { text, calls: [] };
  }
}

export class ToolParser {
  #buffer = '';
  #call = 0;
  #nameSent = false;
  #argumentsSent = '';

  push(piece: string): ReadTools {
    this.#buffer += piece;
    if (!this.#buffer.includes(CALLS_BEGIN) && !this.#buffer.includes(CALL_BEGIN)) {
      this.#buffer = '';
      return { text: STRAY.reduce((text, markup) => text.replaceAll(markup, ''), piece), calls: [] };
    }
    const [, , name, written] = OPEN_CALL.exec(this.#buffer) ?? [];
    if (name === undefined) return { text: '', calls: [] };
    if (!this.#nameSent) {
      this.#nameSent = true;
      return { text: '', calls: [{ index: this.#call, name: name.trim(), arguments: '' }] };
    }
    return { text: '', calls: this.#arguments(written!.trim()) };
  }

  #arguments(written: string): ToolDelta[] {
    const added = written.startsWith(this.#argumentsSent)
      ? written.slice(this.#argumentsSent.length)
      : written;
    const calls = added === '' ? [] : [{ index: this.#call, name: null, arguments: added }];
    this.#argumentsSent += added;
    if (!isJson(written)) return calls;
    const whole = WHOLE_CALL.exec(this.#buffer);
    this.#buffer = whole ? this.#buffer.slice(whole.index + whole[0].length) : '';
    this.#call += 1;
    this.#nameSent = false;
    this.#argumentsSent = '';
    return calls;
  }

  /** Arguments that the stream has not brought, where a call was left open: an empty object, since its own were never read. */
  end(): ToolDelta[] {
    if (!this.#nameSent || this.#argumentsSent !== '') return [];
    return [{ index: this.#call, name: null, arguments: '{}' }];
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
