/**
 * Values that models write as Python does, `{'a': True}` for `{"a": true}`. No more than strings, numbers, True, False,
 * None, lists, tuples and dictionaries.
 */

const TOKEN =
  /\s*(?:([[\](){},:])|('(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(True|False|None)\b)/y;
const WORDS: Record<string, string> = { True: 'true', False: 'false', None: 'null' };
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '0': '\0', '\n': '' };
/** Deeper nesting is no argument of a tool. */
const DEPTH_MAX = 64;

type Token = { mark: string } | { json: string };

/** The JSON text of a Python literal; null where the text is none. */
export function pythonToJson(text: string): string | null {
  const tokens = tokensOf(text);
  if (tokens === null) return null;
  const value = read(tokens, 0);
  return value !== null && tokens.length === 0 ? value : null;
}

/** The tokens of a literal, last first. */
function tokensOf(text: string): Token[] | null {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const found = TOKEN.exec(trimmed);
    if (found === null) return null;
    const [, mark, string, number, word] = found;
    if (mark !== undefined) tokens.push({ mark });
    else if (string !== undefined) tokens.push({ json: JSON.stringify(unescaped(string.slice(1, -1))) });
    else tokens.push({ json: number ?? WORDS[word ?? ''] ?? 'null' });
  }
  return tokens.reverse();
}

function read(tokens: Token[], depth: number): string | null {
  const token = tokens.pop();
  if (token === undefined || depth > DEPTH_MAX) return null;
  if ('json' in token) return token.json;
  if (token.mark === '[') return readList(tokens, ']', depth);
  if (token.mark === '(') return readList(tokens, ')', depth);
  return token.mark === '{' ? readDictionary(tokens, depth) : null;
}

function readList(tokens: Token[], end: string, depth: number): string | null {
  const values: string[] = [];
  while (!take(tokens, end)) {
    const value = read(tokens, depth + 1);
    if (value === null) return null;
    values.push(value);
    if (!take(tokens, ',') && !isNext(tokens, end)) return null;
  }
  return `[${values.join(', ')}]`;
}

function readDictionary(tokens: Token[], depth: number): string | null {
  const members: string[] = [];
  while (!take(tokens, '}')) {
    const key = read(tokens, depth + 1);
    if (key === null || !take(tokens, ':')) return null;
    const value = read(tokens, depth + 1);
    if (value === null) return null;
    members.push(`${key.startsWith('"') ? key : JSON.stringify(key)}: ${value}`);
    if (!take(tokens, ',') && !isNext(tokens, '}')) return null;
  }
  return `{${members.join(', ')}}`;
}

function isNext(tokens: readonly Token[], mark: string): boolean {
  const next = tokens.at(-1);
  return next !== undefined && 'mark' in next && next.mark === mark;
}

function take(tokens: Token[], mark: string): boolean {
  if (!isNext(tokens, mark)) return false;
  tokens.pop();
  return true;
}

function unescaped(text: string): string {
  return text.replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|([\s\S]))/g, (_, hex, unicode, character) =>
    character === undefined
      ? String.fromCharCode(Number.parseInt(hex ?? unicode, 16))
      : (ESCAPES[character as string] ?? (/['"\\]/.test(character) ? character : `\\${character}`)),
  );
}
