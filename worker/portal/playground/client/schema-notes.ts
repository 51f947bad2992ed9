/**
 * Notes on a JSON schema as it was typed: why the API would refuse it, by the API's own rule, and where an answer would not be
 * what the schema says (docs/structured-output.md). Keywords that the engine does not read are noted as that and nothing else.
 */
import { schemaFault } from '../../../../gpu-pool/protocol/json-schema/index.ts';
import {
  ARRAY_HINTS,
  EXCLUSIVE,
  KEYWORDS,
  OBJECT_HINTS,
} from '../../../../gpu-pool/protocol/json-schema/keywords.ts';
import {
  isObject,
  type Path,
  type SchemaObject,
  subSchemas,
} from '../../../../gpu-pool/protocol/json-schema/walk.ts';
import { schemaDepthFault, schemaSizeFault } from '../../../domain/grammar.ts';
import type { Phrases } from './data.ts';

export type Caveat = keyof Phrases['schemaCaveats'];

export type SchemaNote =
  | { readonly kind: 'not JSON' | 'no object' }
  /** `message`: the rest of a sentence, in the API's English; `path`: empty for the whole schema */
  | { readonly kind: 'refused'; readonly path: string; readonly message: string }
  /** `paths`: of the keywords concerned, at least one */
  | { readonly kind: 'caveat'; readonly caveat: Caveat; readonly paths: readonly string[] };

/** @param text empty or blank: no schema, and so no notes */
export function schemaNotes(text: string): readonly SchemaNote[] {
  if (text.trim() === '') return [];
  const depth = schemaDepthFault(text);
  if (depth !== null) return [{ kind: 'refused', path: '', message: depth }];
  const schema = parsed(text);
  if (schema === undefined) return [{ kind: 'not JSON' }];
  if (!isObject(schema)) return [{ kind: 'no object' }];
  // One that is too large is not walked.
  const size = schemaSizeFault(schema);
  if (size !== null) return [{ kind: 'refused', path: '', message: size }];
  const fault = schemaFault(schema, 'format');
  if (fault) return [{ kind: 'refused', path: fault.path.join('.'), message: fault.message }];
  return caveatsOf(schema);
}

/** The value of a JSON text; undefined: it is none, or so deep that the recursive functions which write it would overflow. */
export function parsed(text: string): unknown {
  if (schemaDepthFault(text) !== null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function caveatsOf(root: SchemaObject): SchemaNote[] {
  const found = new Map<Caveat, string[]>();
  for (const { schema, path } of subSchemas(root)) {
    for (const [caveat, names] of caveatsAt(schema, path)) {
      const paths = names.map((name) => [...path, name].join('.'));
      found.set(caveat, [...(found.get(caveat) ?? []), ...paths]);
    }
  }
  return [...found].map(([caveat, paths]) => ({ kind: 'caveat', caveat, paths }));
}

type Found = readonly [caveat: Caveat, names: readonly string[]];

/** The caveats of one schema, without those of the schemas within it. */
function caveatsAt(schema: SchemaObject, path: Path): Found[] {
  const has = (name: string) => schema[name] !== undefined;
  const followed = EXCLUSIVE.find(has);
  const found: Found[] = [['ignored', Object.keys(schema).filter(isIgnored)]];
  if (followed !== undefined) found.push(...besideCaveats(schema, followed));
  // The engine reads `propertyNames` as a schema of strings, whether it says so or not.
  else if (has('type') || path.at(-1) === 'propertyNames') found.push(...typedCaveats(schema));
  else if ([...OBJECT_HINTS, ...ARRAY_HINTS].some(has)) found.push(...typedCaveats(schema));
  else found.push(['untyped', Object.keys(schema).filter(constrains)]);
  return found.filter(([, names]) => names.length > 0);
}

/** Keywords that the engine knows and does not enforce, and such as it does not know; `x-…` are annotations of the client's own. */
function isIgnored(name: string): boolean {
  if (!Object.hasOwn(KEYWORDS, name)) return !name.startsWith('x-');
  return KEYWORDS[name]!.effect === 'ignored';
}

function constrains(name: string): boolean {
  return Object.hasOwn(KEYWORDS, name) && !['annotation', 'ignored'].includes(KEYWORDS[name]!.effect);
}

/** @param followed the keyword that the engine reads of this schema, and no other */
function besideCaveats(schema: SchemaObject, followed: (typeof EXCLUSIVE)[number]): Found[] {
  const value = schema[followed];
  const several = Array.isArray(value) && value.length > 1;
  const isElsewhere = followed === '$ref' && value !== '#' && !String(value).startsWith('#/');
  const beside = Object.keys(schema).filter((name) => name !== followed && constrains(name));
  // That of an enumeration mostly says what its values are, and then has nothing to enforce.
  const isRepeated =
    (followed === 'const' && fits(value, schema.type)) ||
    (followed === 'enum' && (value as unknown[]).every((each) => fits(each, schema.type)));
  return [
    ['beside', isRepeated ? beside.filter((name) => name !== 'type') : beside],
    ['allOf', followed === 'allOf' && several ? [followed] : []],
    ['oneOf', followed === 'oneOf' && several ? [followed] : []],
    ['reference', isElsewhere ? [followed] : []],
  ];
}

/** @param types as `type` has them; undefined: every value fits */
function fits(value: unknown, types: unknown): boolean {
  if (types === undefined) return true;
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const names: unknown[] = Number.isInteger(value) ? ['integer', 'number'] : [type];
  return (Array.isArray(types) ? types : [types]).some((each) => names.includes(each));
}

/** Caveats of keywords that apply to one type. */
function typedCaveats(schema: SchemaObject): Found[] {
  const present = (...names: string[]) => names.filter((name) => schema[name] !== undefined);
  const { type } = schema;
  const canBe = (name: string) =>
    type === undefined || type === name || (Array.isArray(type) && type.includes(name));
  const found: Found[] = [];
  if (canBe('string')) {
    const lengths = present('minLength', 'maxLength').filter(
      (name) => name === 'maxLength' || schema[name] !== 0,
    );
    found.push(['lengths', lengths], ['pattern', present('pattern')]);
  }
  if (canBe('number'))
    found.push(['bounds', present('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum')]);
  if (canBe('array')) found.push(['onlyEmpty', namesNoItem(schema) ? present('minItems', 'maxItems') : []]);
  if (canBe('object')) found.push(...objectCaveats(schema));
  return found;
}

/** Whether counts stand beside nothing that says which items there may be: the engine then writes none. */
function namesNoItem({ items, prefixItems, unevaluatedItems }: SchemaObject): boolean {
  return items === undefined && prefixItems === undefined && unevaluatedItems === undefined;
}

/** The keywords that leave only `{}` where none beside them says which properties there may be. */
function closing(schema: SchemaObject): string[] {
  const names = ['additionalProperties', 'unevaluatedProperties', 'patternProperties', 'propertyNames'];
  const isOpen = names.some((name) => schema[name] !== undefined);
  const { properties = {} } = schema;
  if (isOpen || Object.keys(properties as object).length > 0) return [];
  return ['properties', 'required', 'minProperties', 'maxProperties'].filter(
    (name) => schema[name] !== undefined,
  );
}

function objectCaveats(schema: SchemaObject): Found[] {
  const { properties = {}, required = [], patternProperties, propertyNames } = schema;
  const isUnnamed = (required as string[]).some((name) => !Object.hasOwn(properties as object, name));
  const others = ['additionalProperties', 'unevaluatedProperties'].filter(
    (name) => schema[name] !== undefined && schema[name] !== false,
  );
  const hasPatterns = patternProperties !== undefined;
  const isPassedOver =
    propertyNames !== undefined && (hasPatterns || Object.keys(properties as object).length > 0);
  const closed = closing(schema);
  return [
    ['onlyEmpty', closed],
    ['required', isUnnamed && closed.length === 0 ? ['required'] : []],
    ['namePatterns', hasPatterns ? ['patternProperties'] : []],
    ['otherNames', hasPatterns ? others : []],
    ['propertyNames', isPassedOver ? ['propertyNames'] : []],
  ];
}
