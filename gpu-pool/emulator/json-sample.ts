/**
 * Writes a JSON value as grammar-constrained decoding would have produced it: the grammar that xgrammar makes of a schema
 * keeps to less than the schema in some places and to more in others (protocol/json-schema/keywords.ts says where).
 */
import { ARRAY_HINTS, EXCLUSIVE, OBJECT_HINTS, typeOfAlias } from '../protocol/json-schema/keywords.ts';
import { isObject, type SchemaObject } from '../protocol/json-schema/walk.ts';
import { patternSample } from './pattern-sample.ts';
import { pick } from './text.ts';

/** Below this depth a recursive schema ends in null; SGLang's grammar would go on until `max_tokens`. */
const DEPTH_MAX = 12;
/**
 * Values and characters of one sample. An answer has at most 65,536 tokens, so what comes after them is cut off anyway;
 * a small schema can ask for far more, with lists of lists or references to references.
 */
const SIZE_MAX = 200_000;
const STRINGS = ['alpha', 'beta', 'café', '中文', 'gamma', 'rocket 🚀', 'delta'];
/** Texts whose JSON has escapes, which no grammar with a length or a pattern can write. */
const ESCAPED = ['two\nlines', 'a "quoted" word', 'C:\\temp'];
const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-11-30',
  'date-time': '2026-11-30T10:00:00Z',
  duration: 'P1DT2H',
  email: 'a.b@example.com',
  hostname: 'node-1.example.com',
  ipv4: '192.0.2.7',
  ipv6: '2001:db8:0:0:0:0:0:1',
  'json-pointer': '/a/0',
  'relative-json-pointer': '1/a',
  time: '10:00:00Z',
  uri: 'https://example.com/a?b=c',
  'uri-reference': '/a?b=c',
  'uri-template': '/a/{b}',
  uuid: '123e4567-e89b-12d3-a456-426614174000',
};

/** JSON text that the schema's grammar accepts. The schema must be one that the engine takes. */
export function jsonSample(schema: unknown, random: () => number): string {
  return sample(schema, { random, root: schema, depth: 0, room: { left: SIZE_MAX } });
}

interface SampleContext {
  random: () => number;
  root: unknown;
  depth: number;
  /** Characters of SIZE_MAX that are left for the rest of the sample. Without room every value is null. */
  room: { left: number };
}

function sample(schema: unknown, context: SampleContext): string {
  context.room.left -= 1;
  if (context.depth > DEPTH_MAX || context.room.left <= 0) return 'null';
  if (!isObject(schema)) return anyValue(context);
  const deeper = { ...context, depth: context.depth + 1 };
  const exclusive = EXCLUSIVE.find((name) => schema[name] !== undefined);
  switch (exclusive) {
    case '$ref':
      return sample(resolveRef(context.root, String(schema.$ref)), deeper);
    case 'const':
      return quoted(schema.const, context);
    case 'enum':
      return quoted(pick(context.random, schema.enum as unknown[]), context);
    case 'anyOf':
    case 'oneOf': {
      // Of alternatives the last one often ends a recursion: `{"anyOf": [{"$ref": "#"}, {"type": "null"}]}`.
      const at = context.depth < DEPTH_MAX / 2 ? 0 : -1;
      return sample((schema[exclusive] as unknown[]).at(at), deeper);
    }
    case 'allOf': {
      const all = schema.allOf as unknown[];
      // Of several, the grammar keeps to none (xgrammar: “support for allOf with multiple options is still ongoing”).
      return all.length === 1 ? sample(all[0], deeper) : anyValue(context);
    }
    default:
      return sampleType(schema, context, deeper);
  }
}

function sampleType(schema: SchemaObject, context: SampleContext, deeper: SampleContext): string {
  const written = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (written === undefined ? hintedType(schema) : typeOfAlias(String(written))) {
    case 'object':
      return sampleObject(schema, deeper);
    case 'array':
      return sampleArray(schema, deeper);
    case 'integer':
      return sampleInteger(schema, context.random);
    case 'number':
      return sampleNumber(schema, context.random);
    case 'boolean':
      return String(context.random() < 0.5);
    case 'null':
      return 'null';
    case 'string':
      return sampleString(schema, context);
    default:
      // Keywords that a type should have told what they are about are not read.
      return anyValue(context);
  }
}

function hintedType(schema: SchemaObject): string | undefined {
  if (OBJECT_HINTS.some((name) => schema[name] !== undefined)) return 'object';
  return ARRAY_HINTS.some((name) => schema[name] !== undefined) ? 'array' : undefined;
}

function anyValue(context: SampleContext): string {
  return quoted(pick(context.random, STRINGS), context);
}

/** Constants are written by the grammar, without spaces. */
function quoted(value: unknown, { room }: SampleContext): string {
  const text = JSON.stringify(value) ?? 'null';
  room.left -= text.length;
  return text;
}

/** Properties in the schema's order, which the grammar prescribes, and as many others as there must be. */
function sampleObject(schema: SchemaObject, context: SampleContext): string {
  const properties = Object.entries(isObject(schema.properties) ? schema.properties : {});
  const required = new Set((schema.required as string[] | undefined) ?? []);
  const most = numberOr(schema.maxProperties, Number.POSITIVE_INFINITY);
  let optional = most - properties.filter(([name]) => required.has(name)).length;
  const members = properties
    .filter(([name]) => required.has(name) || (optional-- > 0 && context.depth < DEPTH_MAX / 2))
    .map(([name, value]) => member(JSON.stringify(name), value, context));
  const others = otherProperties(schema, context);
  for (let i = members.length; i < numberOr(schema.minProperties, 0) && context.room.left > 0; i++)
    members.push(others(i));
  return `{${members.join(',')}}`;
}

function member(name: string, value: unknown, context: SampleContext): string {
  return `${name}:${sample(value, context)}`;
}

/** Writes a property that `properties` does not name. */
function otherProperties(schema: SchemaObject, context: SampleContext): (index: number) => string {
  const byPattern = Object.entries(isObject(schema.patternProperties) ? schema.patternProperties : {})[0];
  if (byPattern) {
    const [pattern, value] = byPattern;
    return () => member(`"${patternSample(pattern, context.random)}"`, value, context);
  }
  if (isObject(schema.propertyNames)) {
    const names = schema.propertyNames;
    return () => member(sample({ type: 'string', ...names }, context), true, context);
  }
  const value = schema.additionalProperties ?? schema.unevaluatedProperties;
  return (index) => member(`"other_${index}"`, value, context);
}

function sampleArray(schema: SchemaObject, context: SampleContext): string {
  const prefix = (schema.prefixItems as unknown[] | undefined) ?? [];
  const rest = schema.items ?? schema.unevaluatedItems;
  // Without a word about items an array is open if nothing else is said, and closed otherwise.
  const isBare = ['prefixItems', 'minItems', 'maxItems'].every((name) => schema[name] === undefined);
  const isOpen = rest === undefined ? isBare : rest !== false;
  const most = isOpen ? numberOr(schema.maxItems, 2) : prefix.length;
  const length = Math.max(numberOr(schema.minItems, 1), prefix.length, Math.min(2, most));
  const count = isOpen || length <= prefix.length ? Math.min(length, most < 1 ? 0 : length) : prefix.length;
  const items = Array.from({ length: Math.min(count, context.room.left) }, (_, index) =>
    sample(prefix[index] ?? rest ?? { type: 'string' }, context),
  );
  return `[${items.join(',')}]`;
}

/** A text with a length, pattern or format has no escapes: the grammar knows only characters that need none. */
function sampleString(schema: SchemaObject, context: SampleContext): string {
  const { random, room } = context;
  if (typeof schema.pattern === 'string') return raw(patternSample(schema.pattern, random), room);
  const format = typeof schema.format === 'string' ? FORMATS[schema.format] : undefined;
  if (format !== undefined) return raw(format, room);
  const least = numberOr(schema.minLength, 0);
  if (least === 0 && schema.maxLength === undefined)
    return quoted(pick(random, [...STRINGS, ...ESCAPED]), context);
  const text = pick(random, STRINGS).padEnd(Math.min(least, room.left), 'x');
  return raw([...text].slice(0, numberOr(schema.maxLength, text.length)).join(''), room);
}

function raw(text: string, room: SampleContext['room']): string {
  room.left -= text.length;
  return `"${text}"`;
}

function sampleInteger(schema: SchemaObject, random: () => number): string {
  const { least, most } = range(schema, 1);
  const from = Math.ceil(least ?? Math.min(0, most ?? 0));
  const to = Math.min(Math.floor(most ?? from + 100), from + 100);
  return BigInt(from + Math.floor(random() * (Math.max(from, to) - from + 1))).toString();
}

/** Numbers with bounds have no exponent and at most six decimals. */
function sampleNumber(schema: SchemaObject, random: () => number): string {
  const { least, most } = range(schema, 0.000_001);
  if (least === null && most === null) return JSON.stringify(Math.round(random() * 400) / 4);
  const from = least ?? Math.min(0, most!);
  const to = Math.min(most ?? from + 100, from + 100);
  const drawn = from + Math.round(random() * (to - from) * 4) / 4;
  const value = drawn > to ? from : drawn;
  return Number.isInteger(value) ? BigInt(value).toString() : String(Number(value.toFixed(6)));
}

/** Bounds that a value may have itself; null: none. */
function range(schema: SchemaObject, step: number): { least: number | null; most: number | null } {
  const bound = (name: string, by: number) =>
    typeof schema[name] === 'number' ? [(schema[name] as number) + by] : [];
  const lower = [...bound('minimum', 0), ...bound('exclusiveMinimum', step)];
  const upper = [...bound('maximum', 0), ...bound('exclusiveMaximum', -step)];
  return {
    least: lower.length > 0 ? Math.max(...lower) : null,
    most: upper.length > 0 ? Math.min(...upper) : null,
  };
}

/** The schema that a reference names; null: it is in another document, at which the grammar does not look. */
function resolveRef(root: unknown, ref: string): unknown {
  if (ref !== '#' && !ref.startsWith('#/')) return null;
  const steps = ref.slice(2).split('/').filter(Boolean);
  return steps.reduce<unknown>((node, step) => (isObject(node) ? node[step] : undefined), root);
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fallback;
}
