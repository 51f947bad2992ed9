/** The size of a regular expression once its counted repetitions are written out, as compilers of grammars do. */

export interface PatternSize {
  /** Steps: `(ab){3}` has 6. Unbounded repetitions count once, as they compile to a loop. */
  readonly size: number;
  /** Nesting of groups. */
  readonly depth: number;
}

/** Sizes beyond this are equally absurd; it keeps products of counts finite. */
const SIZE_MAX = 1e12;
const COUNT = /\{(\d*),?(\d*)\}/y;

/** Reads a pattern once from left to right. A malformed one has some size, too: only the engine says what is valid. */
export function parsePattern(pattern: string): PatternSize {
  /** Sizes of the groups that are open, without their innermost. */
  const outer: number[] = [];
  let total = 0;
  /** Size of the last atom, which a count behind it repeats; it is part of `total`. */
  let atom = 0;
  let depth = 0;
  const add = (size: number) => {
    atom = size;
    total = Math.min(SIZE_MAX, total + size);
  };
  for (let i = 0; i < pattern.length; i++) {
    const count = countAt(pattern, i);
    const char = pattern[i];
    if (count !== null) {
      const once = atom;
      total -= once;
      add(Math.min(SIZE_MAX, once * Math.max(1, count.times)));
      i = count.end - 1;
    } else if (char === '(') {
      outer.push(total);
      depth = Math.max(depth, outer.length);
      total = 0;
      atom = 0;
    } else if (char === ')') {
      const group = Math.max(1, total);
      total = outer.pop() ?? 0;
      add(group);
    } else if (char === '[') {
      i = endOfClass(pattern, i);
      add(1);
    } else if (char === '\\') {
      i += 1;
      add(1);
    } else if (char !== '*' && char !== '+' && char !== '?') add(1);
  }
  // Groups that are never closed count as well.
  return {
    size: Math.min(
      SIZE_MAX,
      outer.reduce((sum, size) => sum + size, total),
    ),
    depth,
  };
}

/** A count such as `{3}`, `{2,}` or `{2,5}` that begins at `i`. */
function countAt(pattern: string, i: number): { times: number; end: number } | null {
  if (pattern[i] !== '{') return null;
  COUNT.lastIndex = i;
  const match = COUNT.exec(pattern);
  if (match === null) return null;
  return { times: Math.min(SIZE_MAX, Math.max(Number(match[1]), Number(match[2]))), end: COUNT.lastIndex };
}

/** The index of the bracket that closes a class: as in JavaScript, the first one that is not escaped. */
function endOfClass(pattern: string, start: number): number {
  for (let i = start + 1; i < pattern.length; i++) {
    if (pattern[i] === ']') return i;
    if (pattern[i] === '\\') i += 1;
  }
  return pattern.length;
}
