/** null means absent at every depth: each optional field of each dialect's schema is tried, as the schema itself lists them. */
import { describe, expect, it } from 'vitest';
import type * as z from 'zod';
import { MessagesBody } from '../../../../worker/gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../../../worker/gateway/dialects/openai-chat-request.ts';
import { CompletionsBody } from '../../../../worker/gateway/dialects/openai-completions.ts';
import { ResponsesBody } from '../../../../worker/gateway/dialects/openai-responses-request.ts';
import { messagesOf, type Name, read } from './read.ts';

type Schema = z.core.$ZodType;
type Step = string | number;
/** A value of a schema, its optional fields left out except those on the way to one, and that one's path. */
interface Sample {
  readonly value: unknown;
  readonly path: readonly Step[];
}

const definitionOf = (schema: Schema) => schema._zod.def as z.core.$ZodTypes['_zod']['def'];
const isTransform = (schema: Schema) => definitionOf(schema).type === 'transform';
const isOptional = (schema: Schema) => schema._zod.optin !== undefined;

/** Values of what is checked beyond its type. */
const VALUES = ['x', 1, 100, '', 'a'];
function leaf(schema: Schema): unknown {
  const definition = definitionOf(schema);
  if (definition.type === 'literal') return definition.values[0];
  if (definition.type === 'enum') return Object.values(definition.entries)[0];
  if (definition.type === 'record') return {};
  if (definition.type === 'boolean') return false;
  return VALUES.find((value) => (schema as z.ZodType).safeParse(value).success);
}

function inner(schema: Schema): Schema | null {
  const definition = definitionOf(schema);
  if (definition.type === 'pipe') return isTransform(definition.in) ? definition.out : definition.in;
  return 'innerType' in definition ? (definition.innerType as Schema) : null;
}

function smallest(schema: Schema): unknown {
  const definition = definitionOf(schema);
  const within = inner(schema);
  if (within !== null) return smallest(within);
  if (definition.type === 'array') return [smallest(definition.element)];
  if (definition.type === 'tuple') return definition.items.map(smallest);
  if (definition.type === 'union') return smallest(definition.options[0]!);
  if (definition.type !== 'object') return leaf(schema);
  const fields = Object.entries(definition.shape).filter(([, field]) => !isOptional(field));
  return Object.fromEntries(fields.map(([name, field]) => [name, smallest(field)]));
}

/** A sample for each optional field at any depth. */
function samples(schema: Schema): Sample[] {
  const definition = definitionOf(schema);
  const within = inner(schema);
  if (within !== null) return samples(within);
  if (definition.type === 'union') return definition.options.flatMap(samples);
  if (definition.type === 'array')
    return samples(definition.element).map(({ value, path }) => ({ value: [value], path: [0, ...path] }));
  if (definition.type !== 'object') return [];
  const base = smallest(schema) as object;
  return Object.entries(definition.shape).flatMap(([name, field]) => [
    ...(isOptional(field) ? [{ value: { ...base, [name]: null }, path: [name] }] : []),
    ...samples(field).map(({ value, path }) => ({
      value: { ...base, [name]: value },
      path: [name, ...path],
    })),
  ]);
}

const SCHEMAS: [Name, Schema][] = [
  ['chat', ChatBody],
  ['completions', CompletionsBody],
  ['responses', ResponsesBody],
  ['messages', MessagesBody],
];
const written = (path: readonly Step[]) => path.join('.');
const cases = SCHEMAS.flatMap(([name, schema]) =>
  samples(schema).map(({ value, path }) => [name, written(path), value as object] as const),
);

it('finds the fields at every depth', () => {
  const found = new Set(cases.map(([name, path]) => `${name} ${path}`));
  for (const known of [
    'chat messages.0.name',
    'chat messages.0.content',
    'chat messages.0.tool_calls.0.type',
    'chat messages.0.tool_calls.0.function.arguments',
    'chat tools.0.function.parameters',
    'chat response_format.json_schema.strict',
    'chat reasoning.effort',
    'responses input.0.arguments',
    'responses input.0.summary',
    'responses text.format.strict',
    'messages messages.0.content.0.is_error',
    'messages tools.0.description',
  ])
    expect(found).toContain(known);
});

/** A body that its own rules refuse with or without the field, such as one of nothing but a reasoning item. */
const without = (path: string, body: object) =>
  JSON.parse(JSON.stringify(body), function (this: unknown, key, value) {
    return value === null && key === path.split('.').at(-1) ? undefined : value;
  });

it.each(cases)('%s: %s may be null', (name, path, body) => {
  const outcome = (of: object) => {
    const result = read(name, of);
    return result.ok ? result.request : result.error;
  };
  expect(outcome(body)).toEqual(outcome(without(path, body)));
});

describe('fields of other clients', () => {
  it('chat', () => {
    const messages = [
      { role: 'user', content: 'Hi', name: null },
      {
        role: 'assistant',
        content: null,
        name: null,
        tool_calls: [{ id: 'a', type: null, function: { name: 'f', arguments: null } }],
      },
      { role: 'tool', tool_call_id: 'a', content: null, name: null },
    ];
    expect(messagesOf('chat', { messages })).toEqual([
      { role: 'user', content: 'Hi' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: '' },
    ]);
  });

  it('responses', () => {
    const input = [
      { type: null, role: 'user', content: 'Hi', id: null, status: null },
      { type: 'reasoning', id: null, summary: null, content: null, encrypted_content: null, status: null },
      { type: 'function_call', id: null, call_id: 'a', name: 'f', arguments: null, status: null },
      { type: 'function_call_output', id: null, call_id: 'a', output: '1', status: null },
    ];
    expect(messagesOf('responses', { input })).toHaveLength(3);
  });

  it('what is the client’s own keeps its nulls', () => {
    const schema = { type: 'object', properties: { a: { enum: [null, 1], default: null } } };
    const tools = [{ type: 'function', function: { name: 'f', parameters: schema } }];
    const result = read('chat', { messages: [{ role: 'user', content: 'Hi' }], tools });
    expect(result.ok && result.request.generate.tools?.[0]?.function.parameters).toEqual(schema);
    const call = { type: 'tool_use', id: 'a', name: 'f', input: { a: null } };
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: [call] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a' }] },
    ];
    expect(JSON.stringify(messagesOf('messages', { messages }))).toContain('{\\"a\\":null}');
  });

  it('a required field that is null is said to be missing', () => {
    const result = read('chat', { model: null, messages: [{ role: 'user', content: 'Hi' }] });
    expect(!result.ok && result.error).toMatchObject({ param: 'model', message: '`model` is required.' });
  });
});
