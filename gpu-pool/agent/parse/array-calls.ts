/**
 * Calls as a JSON list, `[{"name": "NAME", "parameters": {…}}]`: what SGLang's grammar makes a model write that must call a
 * tool and whose own format the grammar does not know. Each call is held back until its end.
 */

import { JsonEnd } from '../../protocol/json-end.ts';
import { wholeCalls } from './json-calls.ts';
import { content, type Parser, type Piece } from './piece.ts';

export class ArrayCalls implements Parser {
  #state: 'start' | 'between' | 'call' | 'text' = 'start';
  #buffer = '';
  #read = 0;
  #end = new JsonEnd();
  /** The text left out so far; null once a call has come. Text that turns out to be no list of calls is passed on after all. */
  #leftOut: string | null = '';

  feed(text: string): Piece[] {
    this.#buffer += text;
    const pieces: Piece[] = [];
    while (this.#step(pieces)) if (this.#buffer === '') break;
    return pieces;
  }

  end(): Piece[] {
    const rest = (this.#leftOut ?? '') + this.#buffer;
    this.#buffer = '';
    return this.#leftOut === null ? [] : content(rest);
  }

  #step(pieces: Piece[]): boolean {
    switch (this.#state) {
      case 'start':
        return this.#atStart();
      case 'between':
        return this.#betweenCalls();
      case 'call':
        return this.#inCall(pieces);
      case 'text':
        pieces.push(...content(this.#buffer));
        this.#buffer = '';
        return false;
    }
  }

  #atStart(): boolean {
    const first = this.#buffer.trimStart()[0];
    if (first === undefined) return false;
    this.#state = first === '[' || first === '{' ? 'between' : 'text';
    return true;
  }

  #betweenCalls(): boolean {
    const at = this.#buffer.indexOf('{');
    const between = at < 0 ? this.#buffer.length : at;
    if (this.#leftOut !== null) this.#leftOut += this.#buffer.slice(0, between);
    this.#buffer = this.#buffer.slice(between);
    this.#read = 0;
    this.#end = new JsonEnd();
    if (at >= 0) this.#state = 'call';
    return at >= 0;
  }

  #inCall(pieces: Piece[]): boolean {
    const end = this.#end.feed(this.#buffer.slice(this.#read));
    if (end === null) {
      this.#read = this.#buffer.length;
      return false;
    }
    const text = this.#buffer.slice(0, this.#read + end);
    const calls = wholeCalls(text);
    pieces.push(...(calls ?? []));
    if (calls !== null) this.#leftOut = null;
    else if (this.#leftOut !== null) this.#leftOut += text;
    this.#buffer = this.#buffer.slice(text.length);
    this.#state = 'between';
    return true;
  }
}
