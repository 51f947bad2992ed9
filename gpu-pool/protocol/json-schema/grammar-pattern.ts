/**
 * Which patterns xgrammar 0.2.7 refuses when it makes a grammar of them. It reads more than it can keep to: a lookahead is
 * taken and ignored, an anchor in the middle as well, and a pattern always spans the whole text.
 */

/** Largest count that fits the grammar's integers. */
export const COUNT_MAX = 2_147_483_647;

const REPETITION = /^\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/;

/** Why the grammar cannot be made, as the end of a sentence; null: it can. */
export function grammarPatternFault(pattern: string): string | null {
  let depth = 0;
  /** Whether a repetition that comes here has something to repeat. */
  let repeatable = false;
  for (let i = 0; i < pattern.length; ) {
    const rest = pattern.slice(i);
    const step = stepAt(rest, { first: i === 0, repeatable });
    if (typeof step === 'string') return step;
    depth += step.depth ?? 0;
    if (depth < 0) return 'a “)” has no “(”';
    repeatable = step.repeatable;
    i += step.length;
  }
  return depth > 0 ? 'a “(” has no “)”' : null;
}

interface Step {
  readonly length: number;
  readonly repeatable: boolean;
  /** 1: a group opens; -1: one closes. */
  readonly depth?: 1 | -1;
}

/** The part of the pattern that begins here; a string: why it is refused. */
function stepAt(rest: string, at: { first: boolean; repeatable: boolean }): Step | string {
  switch (rest[0]) {
    case '(':
      return groupAt(rest, at.first);
    case ')':
      return { length: 1, depth: -1, repeatable: true };
    case '|':
    case '^':
    case '$':
      return { length: 1, repeatable: false };
    case '*':
    case '+':
    case '?':
      return at.repeatable ? { length: 1, repeatable: true } : 'a repetition has nothing to repeat';
    case '{':
      return repetitionAt(rest, at.repeatable);
    case '[':
      return classAt(rest);
    case '\\':
      return escapeAt(rest);
    default:
      return { length: 1, repeatable: true };
  }
}

function groupAt(rest: string, first: boolean): Step | string {
  if (rest[1] !== '?') return { length: 1, depth: 1, repeatable: false };
  if (first && rest.startsWith('(?i)')) return { length: 4, repeatable: false };
  if (/^\(\?<[=!]/.test(rest)) return 'it has a lookbehind';
  const opening = /^\(\?(?:[:=!]|P?<[^>]*>)/.exec(rest);
  return opening
    ? { length: opening[0].length, depth: 1, repeatable: false }
    : `it has a group that begins with “${rest.slice(0, 3)}”`;
}

function repetitionAt(rest: string, repeatable: boolean): Step | string {
  const written = REPETITION.exec(rest);
  if (written === null) return 'a “{” begins no count such as {2,5}';
  if (!repeatable) return 'a repetition has nothing to repeat';
  const [whole, from, , to] = written;
  if (Math.max(Number(from), Number(to ?? 0)) > COUNT_MAX) return `a count is above ${COUNT_MAX}`;
  if (to && Number(to) < Number(from)) return 'a repetition has more at least than at most';
  return { length: whole.length, repeatable: true };
}

function classAt(rest: string): Step | string {
  const negated = rest[1] === '^';
  if (rest[1] === ']') return 'a class is empty';
  let before: number | null = null;
  for (let i = negated ? 2 : 1; i < rest.length; ) {
    if (rest[i] === ']') return { length: i + 1, repeatable: true };
    const isRange: boolean = rest[i] === '-' && before !== null && rest[i + 1] !== ']' && i + 1 < rest.length;
    if (isRange) i += 1;
    const { code, length } = classMember(rest.slice(i));
    if (isRange && code < before!) return 'a range ends before it begins';
    // A class such as \d is no beginning of a range: what follows its “-” stands for itself.
    before = isRange || /^\\[dDsSwW]/.test(rest.slice(i)) ? null : code;
    i += length;
  }
  return 'a “[” has no “]”';
}

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, b: 8, '0': 0 };
/** The first character of what each class stands for. */
const FIRST_OF_CLASS: Readonly<Record<string, number>> = { d: 48, w: 97, s: 9 };

function classMember(rest: string): { code: number; length: number } {
  if (rest[0] !== '\\') {
    const code = rest.codePointAt(0)!;
    return { code, length: String.fromCodePoint(code).length };
  }
  const hex = /^\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|u\{([\da-f]+)\})/i.exec(rest);
  if (hex) return { code: Number.parseInt(hex.slice(1).find(Boolean)!, 16), length: hex[0].length };
  const escaped = rest[1] ?? '';
  return { code: FIRST_OF_CLASS[escaped] ?? CONTROLS[escaped] ?? rest.codePointAt(1) ?? 0, length: 2 };
}

function escapeAt(rest: string): Step | string {
  const escaped = rest[1];
  if (escaped === undefined) return 'it ends in the middle of an escape';
  if ('pP'.includes(escaped)) return `it has \\${escaped}, a class by Unicode property`;
  if ('bB'.includes(escaped)) return `it has \\${escaped}, a word’s boundary`;
  if (/[k1-9]/.test(escaped)) return `it refers to an earlier group (\\${escaped})`;
  const digits = { x: 2, u: 4 }[escaped];
  if (digits !== undefined && rest[2] !== '{' && rest.length < 2 + digits)
    return `\\${escaped} needs ${digits} hexadecimal digits`;
  return { length: 2, repeatable: true };
}
