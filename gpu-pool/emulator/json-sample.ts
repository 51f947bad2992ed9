/** Generates a JSON value that fits a JSON Schema, as grammar-constrained decoding would have produced. */
import { pick } from './text.ts';

type Schema = Record<string, unknown>;

/** Below this depth a recursive schema ends in null; SGLang's grammar would go on until `max_tokens`. */
const DEPTH_MAX = 12;
/**
 * Values and characters of one sample. An answer has at most 65,536 tokens, so what comes after them is cut off anyway;
 * a small schema can ask for far more, with lists of lists or references to references.
 */
const SIZE_MAX = 200_000;
const STRINGS = ['alpha', 'beta', 'café', '中文', 'gamma', 'rocket 🚀', 'delta'];

/** Supports type, properties, required, items, enum, const, anyOf/oneOf/allOf, local $ref and bounds. */
export function jsonSample(schema: unknown, random: () => number): unknown {
  return sample(schema, { random, root: schema, depth: 0, room: { left: SIZE_MAX } });
}

interface SampleContext {
  random: () => number;
  root: unknown;
  depth: number;
  /** Characters of SIZE_MAX that are left for the rest of the sample. Without room every value is null. */
  room: { left: number };
}

function sample(schema: unknown, context: SampleContext): unknown {
  context.room.left -= 1;
  if (typeof schema !== 'object' || schema === null) return null;
  if (context.depth > DEPTH_MAX || context.room.left <= 0) return null;
  const node = schema as Schema;
  const deeper = { ...context, depth: context.depth + 1 };
  if ('const' in node) return quoted(node.const, context);
  if (Array.isArray(node.enum) && node.enum.length > 0)
    return quoted(pick(context.random, node.enum), context);
  if (typeof node.$ref === 'string') return sample(resolveRef(context.root, node.$ref), deeper);
  const alternatives = node.anyOf ?? node.oneOf;
  if (Array.isArray(alternatives)) return sample(alternatives[0], deeper);
  if (Array.isArray(node.allOf)) return sample(mergeAll(node.allOf), deeper);
  const type = Array.isArray(node.type) ? node.type[0] : node.type;
  switch (type ?? (node.properties ? 'object' : undefined)) {
    case 'object':
      return sampleObject(node, deeper);
    case 'array': {
      const length = Math.max(numberOr(node.minItems, 1), Math.min(2, numberOr(node.maxItems, 2)));
      return Array.from({ length: Math.min(length, context.room.left) }, () =>
        sample(node.items ?? { type: 'string' }, deeper),
      );
    }
    case 'integer':
      return Math.ceil(numberOr(node.minimum, 0)) + Math.floor(context.random() * rangeOf(node));
    case 'number':
      return numberOr(node.minimum, 0) + Math.round(context.random() * rangeOf(node) * 4) / 4;
    case 'boolean':
      return context.random() < 0.5;
    case 'null':
      return null;
    default:
      return sampleString(node, context);
  }
}

function sampleObject(node: Schema, context: SampleContext): Record<string, unknown> {
  const properties = (node.properties ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, sample(schema, context)]),
  );
}

function quoted(value: unknown, { room }: SampleContext): unknown {
  room.left -= JSON.stringify(value)?.length ?? 0;
  return value;
}

function sampleString(node: Schema, { random, room }: SampleContext): string {
  const text = pick(random, STRINGS).padEnd(Math.min(numberOr(node.minLength, 0), room.left), 'x');
  room.left -= text.length;
  return [...text].slice(0, numberOr(node.maxLength, text.length)).join('');
}

function resolveRef(root: unknown, ref: string): unknown {
  const steps = ref.replace(/^#\/?/, '').split('/').filter(Boolean);
  return steps.reduce<unknown>((node, step) => (node as Schema | undefined)?.[step], root);
}

function mergeAll(schemas: unknown[]): Schema {
  const merged: Schema = {};
  for (const schema of schemas as Schema[]) {
    const properties = { ...(merged.properties as Schema | undefined), ...(schema.properties as Schema) };
    Object.assign(merged, schema, { properties });
  }
  return merged;
}

function rangeOf(node: Schema): number {
  const minimum = numberOr(node.minimum, 0);
  return Math.max(0, Math.min(100, numberOr(node.maximum, minimum + 100) - minimum));
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fallback;
}
