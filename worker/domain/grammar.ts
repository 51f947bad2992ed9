/**
 * Bounds on what an engine compiles before it can answer: JSON schemas, their patterns, and stop sequences. It compiles
 * them beside everyone else's requests, so their cost is bounded by what they ask for and not by the size of a body.
 */
import { RecentTexts } from '../lib/recent-texts.ts';
import { depthOf } from './json-depth.ts';
import { parsePattern } from './pattern-size.ts';

/** The engine compares every token of an answer with every stop sequence. */
export const STOPS_MAX = 16;
export const STOP_BYTES_MAX = 512;

/** Bounds of one schema, or of all tools together. */
export interface GrammarBounds {
  readonly bytes: number;
  /** Objects, arrays, strings and numbers in it. */
  readonly values: number;
  /**
   * The sum of all counts: the larger of `minLength` and `maxLength`, of `minItems` and `maxItems`, and so on, and the length
   * of every `pattern` once its `{n,m}` are written out.
   */
  readonly repetition: number;
}

/** Nesting of a schema's objects and arrays. An object within an object takes two levels. */
export const SCHEMA_DEPTH_MAX = 32;
/** Nesting of the groups of one pattern. */
const PATTERN_DEPTH_MAX = 8;

/**
 * SGLang checks each value of a schema in its event loop, which no other request gets meanwhile: ten thousand take it a
 * second or two. A grammar of a hundred thousand steps is compiled about as quickly.
 */
export const SCHEMA_BOUNDS: GrammarBounds = { bytes: 128 << 10, values: 10_000, repetition: 100_000 };
/** Tools are rendered into the prompt, too: 256 KiB are about half of a context of 160,000 tokens. */
export const TOOLS_BOUNDS: GrammarBounds = { bytes: 256 << 10, values: 10_000, repetition: 100_000 };

/** The fault in the size of a JSON value that holds schemas, as the rest of a sentence ("must …"); null: none. */
export function grammarFault(value: unknown, bounds: GrammarBounds): string | null {
  return sizeFault(value, bounds) ?? repetitionFault(value, bounds);
}

/** The part of it that counts for every schema, also for one that the model only reads. */
export function sizeFault(value: unknown, bounds: GrammarBounds): string | null {
  const json = JSON.stringify(value) ?? '';
  if (utf8Length(json) > bounds.bytes) return `must be at most ${bounds.bytes} bytes of JSON`;
  return measure(value).values > bounds.values ? `must have at most ${bounds.values} values` : null;
}

/**
 * The part of it that counts where a grammar is made of the schemas. Claude Code has a tool with a text of half a million
 * characters, of which no grammar is made.
 */
export function repetitionFault(value: unknown, bounds: GrammarBounds): string | null {
  const { repetition, patternDepth } = measure(value);
  if (patternDepth > PATTERN_DEPTH_MAX)
    return `must have patterns whose groups are nested at most ${PATTERN_DEPTH_MAX} levels deep`;
  if (repetition > bounds.repetition)
    return `must have lengths, counts and patterns that come to at most ${bounds.repetition}: lower them, or leave them out`;
  return null;
}

/** The same for one schema, whose depth is bounded, too. */
export function schemaSizeFault(schema: unknown): string | null {
  return schemaDepthFault(JSON.stringify(schema) ?? '') ?? grammarFault(schema, SCHEMA_BOUNDS);
}

/**
 * The same for the schema of a tool, of which a grammar may be made or not. An agent sends the same tools with every turn, so
 * schemas without a fault are remembered.
 */
export function toolSizeFault(schema: unknown): string | null {
  const json = JSON.stringify(schema) ?? '';
  if (soundToolSchemas.has(json)) return null;
  const fault = schemaDepthFault(json) ?? sizeFault(schema, SCHEMA_BOUNDS);
  if (fault === null) soundToolSchemas.add(json);
  return fault;
}
/** A million characters are the tools of about twenty agents. */
export const SOUND_TEXTS_LENGTH_MAX = 1 << 20;
const soundToolSchemas = new RecentTexts(SOUND_TEXTS_LENGTH_MAX);

/** The part of it that is read from the JSON text, before a recursive parser sees it. */
export function schemaDepthFault(json: string): string | null {
  return depthOf(json) > SCHEMA_DEPTH_MAX ? `must be nested at most ${SCHEMA_DEPTH_MAX} levels deep` : null;
}

export function stopFault(stop: string): string | null {
  return utf8Length(stop) > STOP_BYTES_MAX ? `must be at most ${STOP_BYTES_MAX} bytes` : null;
}

export function utf8Length(text: string): number {
  let bytes = 0;
  // Into the same few bytes again and again, because an array for a long text costs more than encoding it.
  for (let at = 0; at < text.length; ) {
    const { read, written } = utf8.encodeInto(text.slice(at), scratch);
    at += read;
    bytes += written;
  }
  return bytes;
}

const utf8 = new TextEncoder();
const scratch = new Uint8Array(16 << 10);

/** Pairs of keywords of which the larger counts. */
const COUNTS = [
  ['minLength', 'maxLength'],
  ['minItems', 'maxItems'],
  ['minContains', 'maxContains'],
] as const;

interface Measured {
  values: number;
  repetition: number;
  patternDepth: number;
}

/** Walks the value without recursion, as its depth may not have been bounded yet. */
function measure(root: unknown): Measured {
  const measured: Measured = { values: 0, repetition: 0, patternDepth: 0 };
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    measured.values += 1;
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) countKeywords(value as Record<string, unknown>, measured);
    for (const member of Object.values(value)) pending.push(member);
  }
  return measured;
}

function countKeywords(schema: Record<string, unknown>, measured: Measured): void {
  for (const [least, most] of COUNTS)
    measured.repetition += Math.max(countOf(schema[least]), countOf(schema[most]));
  // A grammar that counts properties has a rule for each property at each count.
  const properties = Math.max(countOf(schema.minProperties), countOf(schema.maxProperties));
  measured.repetition += properties * Math.max(1, Object.keys(objectOf(schema.properties)).length);
  const patterns = Object.keys(objectOf(schema.patternProperties));
  if (typeof schema.pattern === 'string') patterns.push(schema.pattern);
  for (const pattern of patterns) {
    const { size, depth } = parsePattern(pattern);
    measured.repetition += size;
    measured.patternDepth = Math.max(measured.patternDepth, depth);
  }
}

function countOf(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : 0;
}

function objectOf(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}
