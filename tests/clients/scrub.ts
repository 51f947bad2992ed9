/**
 * Makes a fixture's request of a client's: its structure, and of its texts only those that are the scenario's own. Texts of a
 * client belong to its makers, and what it says of the machine it ran on is nobody's business; both are replaced by their
 * length and tokens, of which `filled` makes a text again.
 */
import { tokenize } from '../../gpu-pool/emulator/tokenizer.ts';
import { FILES, PIXEL } from './scenario.ts';

export interface ScrubContext {
  /** Paths of this machine, each with the path that stands for it; the longest first. */
  readonly paths: readonly (readonly [string, string])[];
  /** Texts that are the scenario's own. */
  readonly own: readonly string[];
  /** Identities that answers issued, with the names that stand for them. */
  readonly issued: ReadonlyMap<string, string>;
  /** Other identities, which get names as they come. */
  readonly ids: Map<string, string>;
}

/** Words that a format or a schema is made of. */
const WORD = /^[\w$.:/#*+@-]{1,48}$/;
const IDENTITY =
  /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}|(?:ses|msg|prt|call|toolu|rs|resp|fc)_[\w-]{12,}/g;
/** Members whose values are names, whatever they look like. */
const NAMES = new Set(['name', 'tool_name', 'type', 'role', 'model']);

export function scrubbed(value: unknown, context: ScrubContext, key = ''): unknown {
  if (typeof value === 'string') return scrubbedText(value, context, key);
  if (Array.isArray(value)) return value.map((member) => scrubbed(member, context, key));
  // A time, in milliseconds.
  if (typeof value === 'number' && value > 1e12) return 0;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      withoutIds(name, context),
      scrubbed(member, context, name),
    ]),
  );
}

function scrubbedText(text: string, context: ScrubContext, key: string): string {
  const issued = context.issued.get(text);
  if (issued !== undefined) return issued;
  const here = context.paths.reduce((changed, [path, standIn]) => changed.replaceAll(path, standIn), text);
  if (context.own.some((own) => own === here)) return here;
  const nested = nestedJson(here);
  if (nested !== null) return JSON.stringify(scrubbed(nested, context));
  const plain = withoutIds(here, context);
  if (/^id-\d+$/.test(plain)) return plain;
  const image = /^(data:image\/\w+;base64,)?([A-Za-z0-9+/]{60,}={0,2})$/.exec(here);
  if (image) return `${image[1] ?? ''}«image»`;
  if (NAMES.has(key) || WORD.test(plain) || plain === '') return plain;
  return `«${text.length}:${tokenize(text).length}»`;
}

function withoutIds(text: string, { ids, issued }: ScrubContext): string {
  return text.replace(IDENTITY, (id) => {
    const known = issued.get(id) ?? ids.get(id);
    if (known !== undefined) return known;
    ids.set(id, `id-${ids.size + 1}`);
    return ids.get(id)!;
  });
}

/** An object or array that is written as a text, as arguments of calls are. */
function nestedJson(text: string): object | null {
  if (!/^[{[]/.test(text)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

export interface Filling {
  /** Identities of the answers so far, by name. */
  readonly issued: ReadonlyMap<string, string>;
  /** Tokens of a text for each that the client's had. */
  readonly density: number;
}

/** A request that can be sent, of a scrubbed one. */
export function filled(value: unknown, filling: Filling): unknown {
  if (typeof value === 'string') return filledText(value, filling);
  if (Array.isArray(value)) return value.map((member) => filled(member, filling));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, filled(member, filling)]));
}

function filledText(text: string, { issued, density }: Filling): string {
  return text.replaceAll(/«([\w.:]+)»/g, (name, inner: string) => {
    if (inner === 'image') return PIXEL;
    const [length, tokens] = inner.split(':').map(Number);
    return tokens === undefined ? (issued.get(name) ?? name) : filler(length!, density * tokens);
  });
}

/** A text of so many characters and about so many tokens of the emulator. */
function filler(length: number, tokens: number): string {
  const words = Math.max(0, Math.min(Math.floor(length / 5), Math.round((length - tokens) / 4)));
  return 'abcd '.repeat(words) + '.'.repeat(length - 5 * words);
}

/** Texts that occur in every scenario. */
export const OWN_TEXTS: readonly string[] = Object.entries(FILES)
  .filter(([name]) => !name.startsWith('long'))
  .map(([, text]) => text);
