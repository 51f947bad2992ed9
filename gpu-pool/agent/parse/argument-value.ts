/** Arguments that models write as plain text, as JSON texts. Numbers keep their digits: JavaScript's would lose some. */
import { pythonToJson } from './python-literal.ts';
import { typeOf } from './tool-schema.ts';

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const STRINGS = ['string', 'str', 'text', 'varchar', 'char', 'enum'];

/**
 * A JSON object of members whose values are JSON texts; of one key given twice the last counts. `open`: more members were
 * to come, so that the object is not closed.
 */
export function objectText(
  members: readonly (readonly [string, string])[],
  { open = false }: { open?: boolean } = {},
): string {
  const last = new Map(members);
  const text = [...last].map(([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ');
  return open ? `{${text}` : `{${text}}`;
}

/** The value as its schema wants it; a string where it is no value of that type. */
export function schemaValue(text: string, schema: unknown): string {
  if (text.toLowerCase() === 'null') return 'null';
  const type = schema === undefined ? 'string' : (typeOf(schema) ?? 'string');
  if (STRINGS.includes(type)) return JSON.stringify(text);
  if (/^(?:u?int|long|short|unsigned|num|float)/.test(type)) return numberText(text) ?? JSON.stringify(text);
  if (['boolean', 'bool', 'binary'].includes(type)) return String(text.toLowerCase() === 'true');
  return jsonText(text) ?? pythonToJson(text) ?? JSON.stringify(text);
}

/** The value that a text looks like, unless its type is known to be a string. */
export function looseValue(text: string, type: string | null): string {
  const json = jsonText(text);
  if (type !== 'string') return json ?? pythonToJson(text) ?? JSON.stringify(text);
  // A string may be written with its quotation marks.
  return json?.startsWith('"') ? json : JSON.stringify(json === null ? unquoted(text) : text);
}

/** A text that is JSON, without the blanks around it. */
export function jsonText(text: string): string | null {
  try {
    JSON.parse(text);
    return text.trim();
  } catch {
    return null;
  }
}

function numberText(text: string): string | null {
  const number = text
    .trim()
    .replace(/^\+/, '')
    .replace(/^(-?)0+(?=\d)/, '$1');
  return NUMBER.test(number) ? number : null;
}

function unquoted(text: string): string {
  return /^(["'])[\s\S]*\1$/.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}
