/**
 * Which patterns Python's `re` (3.11) refuses. SGLang compiles the patterns of every tool with it, though the grammar has
 * another reader. JavaScript's own differ in named groups, in `\p{…}` and in what may follow a backslash.
 */

class Refused extends Error {}

/** Why Python refuses the pattern, as the end of a sentence; null: it does not. */
export function pythonPatternFault(pattern: string): string | null {
  try {
    new PythonPattern(pattern).read();
    return null;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

/** Fewest and most characters that a part matches; a lookbehind must have one length. */
type Width = readonly [number, number];
const NONE: Width = [0, 0];
const ONE: Width = [1, 1];

interface Item {
  readonly width: Width;
  /** Anchors and flags cannot be repeated, and neither can what is repeated already. */
  readonly repeatable: boolean;
  readonly isRepeat?: boolean;
}

const ESCAPES = 'AbBdDsSwWZ';
const ESCAPES_IN_CLASS = 'bdDsSwW';
const CATEGORIES = 'dDsSwW';
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const IDENTIFIER = /^[\p{L}_][\p{L}\p{N}_]*$/u;
const GROUPS_MAX = 100;
/** Python’s `MAXREPEAT`. */
const REPETITIONS_MAX = 4_294_967_295;

class PythonPattern {
  readonly #text: string[];
  #at = 0;
  #groups = 0;
  readonly #open = new Set<number>();
  readonly #names = new Map<string, number>();

  constructor(pattern: string) {
    this.#text = [...pattern];
  }

  read(): void {
    this.#alternatives();
    if (this.#at < this.#text.length) this.#refuse('a “)” has no “(”');
  }

  #refuse(reason: string): never {
    throw new Refused(reason);
  }

  #take(expected: string): boolean {
    if (
      !this.#text
        .slice(this.#at, this.#at + expected.length)
        .join('')
        .startsWith(expected)
    )
      return false;
    this.#at += expected.length;
    return true;
  }

  #next(): string {
    return this.#text[this.#at++] ?? this.#refuse('it ends in the middle');
  }

  #until(end: string): string {
    const start = this.#at;
    const found = this.#text.indexOf(end, start);
    if (found < 0) return this.#refuse(`a group lacks its “${end}”`);
    this.#at = found + 1;
    return this.#text.slice(start, found).join('');
  }

  #alternatives(): Width {
    let [least, most] = this.#sequence();
    while (this.#take('|')) {
      const [fewer, more] = this.#sequence();
      least = Math.min(least, fewer);
      most = Math.max(most, more);
    }
    return [least, most];
  }

  #sequence(): Width {
    let [least, most] = NONE;
    let last: Item | null = null;
    while (this.#at < this.#text.length && this.#text[this.#at] !== '|' && this.#text[this.#at] !== ')') {
      const count = this.#count();
      if (count === null) {
        last = this.#item();
        least += last.width[0];
        most += last.width[1];
        continue;
      }
      if (last?.isRepeat) this.#refuse('a repetition follows a repetition');
      if (!last?.repeatable) this.#refuse('a repetition has nothing to repeat');
      least += last!.width[0] * (count[0] - 1);
      // A group of no width is as wide however often it comes.
      most += last!.width[1] === 0 ? 0 : last!.width[1] * (count[1] - 1);
      last = { width: NONE, repeatable: true, isRepeat: true };
    }
    return [least, most];
  }

  /** A repetition that begins here: `*`, `+`, `?`, `{n}`, `{n,}`, `{,m}` or `{n,m}`, with `?` or `+` behind it. */
  #count(): Width | null {
    const many = Number.POSITIVE_INFINITY;
    const simple = new Map<string | undefined, Width>([
      ['*', [0, many]],
      ['+', [1, many]],
      ['?', [0, 1]],
    ]).get(this.#text[this.#at]);
    let count = simple ?? null;
    if (simple) this.#at += 1;
    else {
      const written = /^\{(\d*)(,?)(\d*)\}/.exec(this.#text.slice(this.#at, this.#at + 40).join(''));
      if (written === null || (written[1] === '' && written[3] === '')) return null;
      const [whole, from, comma, to] = written;
      const least = Number(from);
      count = [least, comma === '' ? least : to === '' ? many : Number(to)];
      if (Math.max(least, Number(to)) >= REPETITIONS_MAX) this.#refuse('a count is too large');
      if (count[1] < least) this.#refuse('a repetition has more at least than at most');
      this.#at += whole.length;
    }
    if (this.#text[this.#at] === '?' || this.#text[this.#at] === '+') this.#at += 1;
    return count;
  }

  #item(): Item {
    const char = this.#next();
    switch (char) {
      case '^':
      case '$':
        return { width: NONE, repeatable: false };
      case '(':
        return this.#group();
      case '[':
        this.#class();
        return { width: ONE, repeatable: true };
      case '\\':
        return this.#escape();
      default:
        return { width: ONE, repeatable: true };
    }
  }

  #escape(): Item {
    const char = this.#next();
    if (ESCAPES.includes(char)) {
      const isPlace = 'AbBZ'.includes(char);
      return { width: isPlace ? NONE : ONE, repeatable: !isPlace };
    }
    if (/[1-9]/.test(char)) return this.#backreference(char);
    this.#characterEscape(char);
    return { width: ONE, repeatable: true };
  }

  #backreference(first: string): Item {
    const digits = /^\d*/.exec(this.#text.slice(this.#at, this.#at + 2).join(''))![0];
    const octal = /^[0-7]{3}/.test(first + digits);
    this.#at += octal ? 2 : Math.min(1, digits.length);
    if (octal) {
      if (Number.parseInt(first + digits, 8) > 0o377) this.#refuse('an octal escape is above \\377');
      return { width: ONE, repeatable: true };
    }
    const group = Number(first + digits.slice(0, 1));
    if (group > this.#groups || this.#open.has(group))
      this.#refuse(`it has no group ${group} before \\${group}`);
    return { width: [0, Number.POSITIVE_INFINITY], repeatable: true };
  }

  /** An escape that stands for one character, inside a class or outside. */
  #characterEscape(char: string): void {
    const digits = HEX_DIGITS[char];
    if (digits !== undefined) {
      const hex = this.#text.slice(this.#at, this.#at + digits).join('');
      if (!new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hex))
        this.#refuse(`\\${char} needs ${digits} hexadecimal digits`);
      this.#at += digits;
    } else if (char === 'N') {
      if (!this.#take('{')) this.#refuse('\\N needs a name in braces');
      this.#until('}');
    } else if (/[A-Za-z]/.test(char) && !'afnrtv'.includes(char)) this.#refuse(`it has no escape \\${char}`);
  }

  #class(): void {
    this.#take('^');
    for (let first = true; first || this.#text[this.#at] !== ']'; first = false) {
      if (this.#at >= this.#text.length) this.#refuse('a “[” has no “]”');
      const from = this.#classItem();
      if (this.#text[this.#at] !== '-' || this.#text[this.#at + 1] === ']') continue;
      this.#at += 1;
      if (this.#at >= this.#text.length) this.#refuse('a “[” has no “]”');
      const to = this.#classItem();
      if (from === null || to === null) this.#refuse('a range begins or ends with a class such as \\d');
      if (from! > to!) this.#refuse('a range ends before it begins');
    }
    this.#at += 1;
  }

  /** The code point of a class's next member; null: a class of its own, such as `\d`. */
  #classItem(): number | null {
    const char = this.#next();
    if (char !== '\\') return char.codePointAt(0)!;
    const start = this.#at;
    const escaped = this.#next();
    if (CATEGORIES.includes(escaped)) return null;
    if (ESCAPES_IN_CLASS.includes(escaped)) return 8;
    if (/[89]/.test(escaped)) this.#refuse(`it has no escape \\${escaped} in a class`);
    this.#characterEscape(escaped);
    const hex = this.#text.slice(start + 1, this.#at).join('');
    if (escaped in HEX_DIGITS) return Number.parseInt(hex, 16);
    return { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }[escaped] ?? escaped.codePointAt(0)!;
  }

  #group(): Item {
    if (!this.#take('?')) return this.#captured();
    if (this.#take('P<')) return this.#captured(this.#until('>'));
    if (this.#take('P=')) {
      if (!this.#names.has(this.#until(')'))) this.#refuse('it refers to a group that it does not have');
      return { width: [0, Number.POSITIVE_INFINITY], repeatable: true };
    }
    if (this.#take('#')) {
      this.#until(')');
      return { width: NONE, repeatable: false };
    }
    if (this.#take('<=') || this.#take('<!')) {
      const [least, most] = this.#body();
      if (least !== most) this.#refuse('a lookbehind has no fixed length');
      return { width: NONE, repeatable: true };
    }
    if (this.#take('=') || this.#take('!')) {
      this.#body();
      return { width: NONE, repeatable: true };
    }
    if (this.#take('(')) return this.#conditional();
    if (this.#take(':') || this.#take('>')) return { width: this.#body(), repeatable: true };
    return this.#flags();
  }

  #captured(name?: string): Item {
    const group = ++this.#groups;
    if (group >= GROUPS_MAX) this.#refuse(`it has more than ${GROUPS_MAX - 1} groups`);
    if (name !== undefined) {
      if (!IDENTIFIER.test(name)) this.#refuse('a group’s name is not a name in Python');
      if (this.#names.has(name)) this.#refuse('two groups have one name');
      this.#names.set(name, group);
    }
    this.#open.add(group);
    const width = this.#body();
    this.#open.delete(group);
    return { width, repeatable: true };
  }

  #conditional(): Item {
    const reference = this.#until(')');
    const known = /^\d+$/.test(reference) ? Number(reference) <= this.#groups : this.#names.has(reference);
    if (!known) this.#refuse('it refers to a group that it does not have');
    return { width: this.#body(), repeatable: true };
  }

  /** Flags for the whole pattern at its beginning, or for one group: `(?i)`, `(?i:…)`. */
  #flags(): Item {
    const start = this.#at;
    const rest = this.#text.slice(start).join('');
    const local = /^[aimsux]*(-[imsx]+)?:/.exec(rest);
    if (local) {
      this.#at += local[0].length;
      return { width: this.#body(), repeatable: true };
    }
    const whole = /^[aimsux]+\)/.exec(rest);
    if (whole === null || (whole[0].includes('a') && whole[0].includes('u')) || start !== 2)
      this.#refuse(`it has no group (?${rest.slice(0, 1)}…) there`);
    this.#at += whole[0].length;
    return { width: NONE, repeatable: false };
  }

  #body(): Width {
    const width = this.#alternatives();
    if (!this.#take(')')) this.#refuse('a “(” has no “)”');
    return width;
  }
}
