/**
 * Writes a text that a pattern matches, as xgrammar reads it: the whole text, anchors and lookaheads left out, and characters
 * as they are, so that a pattern with a quotation mark or a line break gives broken JSON.
 */
import { pick } from './text.ts';

/** An unbounded repetition is repeated at most this often more than it must be. */
const MORE_MAX = 3;
/** Characters of one repetition; an answer has at most 65,536 tokens. */
const LENGTH_MAX = 200_000;
/** Letters of which `.`, `\S` and negated classes are drawn; JSON text may have all of them. */
const ANY = [...'abcxyz 019-_.é中'];
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  d: [...'0123456789'],
  w: [...'abcxyz019_'],
  s: [' '],
  D: [...'abc-'],
  W: [...'-. '],
  S: [...'abc019'],
};
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', v: '\v', f: '\f', r: '\r', '0': '\0' };

/** @param pattern one that the engine takes */
export function patternSample(pattern: string, random: () => number): string {
  return new PatternWriter([...pattern], random).alternatives();
}

class PatternWriter {
  readonly #text: readonly string[];
  readonly #random: () => number;
  #at = 0;

  constructor(text: readonly string[], random: () => number) {
    this.#text = text;
    this.#random = random;
  }

  alternatives(): string {
    const written = [this.#sequence()];
    while (this.#text[this.#at] === '|') {
      this.#at += 1;
      written.push(this.#sequence());
    }
    return pick(this.#random, written);
  }

  #sequence(): string {
    let text = '';
    while (this.#at < this.#text.length && this.#text[this.#at] !== '|' && this.#text[this.#at] !== ')') {
      const start = this.#at;
      let last = this.#item();
      const times = this.#times();
      if (times !== 1) {
        const end = this.#at;
        last = '';
        for (let i = 0; i < times && last.length < LENGTH_MAX; i++) {
          this.#at = start;
          last += this.#item();
        }
        this.#at = end;
      }
      text += last;
    }
    return text;
  }

  /** How often the item before is repeated, by all repetitions that stand here. */
  #times(): number {
    let times = 1;
    for (let found = this.#bounds(); found !== null; found = this.#bounds()) {
      const [least, most] = found;
      times *= least + Math.floor(this.#random() * (Math.min(most, least + MORE_MAX) - least + 1));
      if (this.#text[this.#at] === '?') this.#at += 1;
    }
    return times;
  }

  #bounds(): readonly [number, number] | null {
    const many = Number.POSITIVE_INFINITY;
    const simple = { '*': [0, many], '+': [1, many], '?': [0, 1] } as const;
    const found = simple[this.#text[this.#at] as keyof typeof simple];
    if (found) {
      this.#at += 1;
      return found;
    }
    const written = /^\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/.exec(this.#text.slice(this.#at).join(''));
    if (written === null) return null;
    this.#at += written[0].length;
    const least = Number(written[1]);
    return [least, written[2] === undefined ? least : written[3] === '' ? many : Number(written[3])];
  }

  #item(): string {
    const char = this.#text[this.#at++]!;
    switch (char) {
      case '^':
      case '$':
        return '';
      case '.':
        return pick(this.#random, ANY);
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '\\': {
        const escaped = this.#escape();
        return typeof escaped === 'string' ? escaped : pick(this.#random, escaped);
      }
      default:
        return char;
    }
  }

  #group(): string {
    const opening = /^\?(?:i\)|[:=!]|P?<[^>]*>)/.exec(this.#text.slice(this.#at).join(''));
    this.#at += [...(opening?.[0] ?? '')].length;
    if (opening?.[0] === '?i)') return '';
    const text = this.alternatives();
    this.#at += 1;
    const isLookahead = opening?.[0] === '?=' || opening?.[0] === '?!';
    return isLookahead ? '' : text;
  }

  /** A character, or the characters of a class. */
  #escape(): string | readonly string[] {
    const rest = this.#text.slice(this.#at).join('');
    const hex = /^(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|u\{([\da-f]+)\})/i.exec(rest);
    if (hex) {
      this.#at += hex[0].length;
      return String.fromCodePoint(Number.parseInt(hex.slice(1).find(Boolean)!, 16));
    }
    const escaped = this.#text[this.#at++]!;
    return CLASSES[escaped] ?? CONTROLS[escaped] ?? escaped;
  }

  #class(): string {
    const negated = this.#text[this.#at] === '^';
    if (negated) this.#at += 1;
    const members: string[] = [];
    const classes: string[] = [];
    const ranges: [number, number][] = [];
    while (this.#text[this.#at] !== ']') {
      const from = this.#member();
      const isRange = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']';
      if (typeof from !== 'string')
        classes.push(Object.keys(CLASSES).find((name) => CLASSES[name] === from)!);
      if (typeof from !== 'string' || !isRange) members.push(...from);
      else {
        this.#at += 1;
        const to = this.#member();
        const end = typeof to === 'string' ? to : to[0]!;
        ranges.push([from.codePointAt(0)!, end.codePointAt(0)!]);
      }
    }
    this.#at += 1;
    const inside = (char: string) =>
      members.includes(char) ||
      classes.some((name) => new RegExp(`\\${name}`).test(char)) ||
      ranges.some(([from, to]) => from <= char.codePointAt(0)! && char.codePointAt(0)! <= to);
    if (negated) {
      const outside = [...ANY, '~'].filter((char) => !inside(char));
      return pick(this.#random, outside.length > 0 ? outside : ['~']);
    }
    const drawn = ranges.map(([from, to]) => {
      const code = from + Math.floor(this.#random() * (to - from + 1));
      // A quotation mark, a backslash or a control character would end or break the text.
      return '"\\'.includes(String.fromCodePoint(code)) || code < 0x20 ? to : code;
    });
    const all = [
      ...members.filter((char) => !'"\\'.includes(char)),
      ...drawn.map((code) => String.fromCodePoint(code)),
    ];
    return pick(this.#random, all.length > 0 ? all : members);
  }

  #member(): string | readonly string[] {
    const char = this.#text[this.#at++]!;
    return char === '\\' ? this.#escape() : char;
  }
}
