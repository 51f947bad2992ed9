/** The nesting of JSON, bounded because serializers and whatever walks a body are recursive, and a parser's memory grows with it. */

/**
 * A conversation with tools nests ten levels deep. Anything past this is an attack on recursive parsers, ours or the
 * engine's.
 */
export const DEPTH_MAX = 40;

/**
 * A text of this length is parsed before its nesting is counted: of nothing but brackets it takes a parser a few megabytes.
 * Counting is much quicker in the value, where nobody has to look for the ends of texts.
 */
export const PARSED_FIRST_LENGTH_MAX = 256 << 10;

/** The nesting of a parsed value's objects and arrays, counted up to one more than `DEPTH_MAX`. */
export function valueDepth(value: unknown): number {
  let level = isNesting(value) ? [value] : [];
  let depth = 0;
  for (; level.length > 0 && depth <= DEPTH_MAX; depth++) {
    const next: object[] = [];
    for (const each of level)
      for (const member of Object.values(each)) if (isNesting(member)) next.push(member);
    level = next;
  }
  return depth;
}

function isNesting(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The deepest nesting of objects and arrays in a text. The result means nothing for a text that is not JSON. */
export function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === QUOTE) i = endOfString(json, i);
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

/** The index of the closing quote of the string that starts at `start`: the first quote that is not escaped. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let escapes = 0;
    while (json.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return json.length;
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [...'"\\{}[]'].map((char) =>
  char.charCodeAt(0),
);
