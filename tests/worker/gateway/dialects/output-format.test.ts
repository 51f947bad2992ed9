/** The format of an answer, in each dialect's words, as the node is told of it. */
import { describe, expect, it } from 'vitest';
import { read } from './read.ts';

const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const MESSAGES = { messages: [{ role: 'user', content: 'Where?' }] };

function formatOf(name: 'chat' | 'messages', body: object) {
  const result = read(name, { ...MESSAGES, ...body });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  const { generate, ignored } = result.request;
  return { format: generate.response_format, ignored };
}

function errorOf(body: object) {
  const result = read('messages', { ...MESSAGES, ...body });
  if (result.ok) throw new Error('the request was read');
  return result.error;
}

describe("Anthropic's structured outputs", () => {
  const format = { type: 'json_schema', schema: SCHEMA };
  const told = { type: 'json_schema', json_schema: { name: 'answer', schema: SCHEMA, strict: true } };

  it.each([
    ['output_config.format', { output_config: { format } }],
    ['the format beside an effort', { output_config: { format, effort: 'low' } }],
    ['the deprecated output_format of the beta', { output_format: format }],
    ['both names, one of them null', { output_config: { format: null }, output_format: format }],
  ])('%s holds the answer to its schema', (_, body) => {
    expect(formatOf('messages', body)).toEqual({ format: told, ignored: [] });
  });

  it('null asks for text', () => {
    expect(formatOf('messages', { output_config: { format: null }, output_format: null })).toEqual({
      format: undefined,
      ignored: [],
    });
  });

  it('what is not read of a format is named', () => {
    const { ignored } = formatOf('messages', {
      output_config: { format: { ...format, name: 'place', strict: true } },
    });
    expect(ignored).toEqual(['output_config.format.name', 'output_config.format.strict']);
  });

  it.each([
    ['two formats', { output_config: { format }, output_format: format }, 'output_format'],
    ['another type', { output_config: { format: { type: 'xml' } } }, 'output_config.format.type'],
    ['no schema', { output_config: { format: { type: 'json_schema' } } }, 'output_config.format.schema'],
    [
      'a keyword that the engine refuses',
      {
        output_config: {
          format: { type: 'json_schema', schema: { type: 'object', properties: { n: { multipleOf: 3 } } } },
        },
      },
      'output_config.format.schema.properties.n.multipleOf',
    ],
    [
      'a schema that is too deep',
      { output_format: { type: 'json_schema', schema: nested(33) } },
      'output_format.schema',
    ],
    [
      'lengths beyond what a grammar may count',
      { output_format: { type: 'json_schema', schema: { type: 'string', maxLength: 100_001 } } },
      'output_format.schema',
    ],
  ])('%s: 400 names the field', (_, body, param) => {
    expect(errorOf(body)).toMatchObject({ reason: 'invalid_field', param });
  });
});

it("a chat's format without a name gets one, which SGLang demands", () => {
  const { format } = formatOf('chat', {
    response_format: { type: 'json_schema', json_schema: { name: null, schema: SCHEMA } },
  });
  expect(format).toEqual({ type: 'json_schema', json_schema: { name: 'answer', schema: SCHEMA } });
});

describe('null in the schema of a tool', () => {
  const schema = { type: 'object', properties: null, required: null };

  it.each([
    ['messages', MESSAGES, { name: 'look', input_schema: schema }],
    ['chat', MESSAGES, { type: 'function', function: { name: 'look', parameters: schema } }],
    ['responses', { input: 'Where?' }, { type: 'function', name: 'look', parameters: schema }],
  ] as const)('%s: properties and required that are null are absent', (name, body, tool) => {
    const result = read(name, { ...body, tools: [tool] });
    expect(result.ok && result.request.generate.tools?.[0]?.function.parameters).toEqual({ type: 'object' });
  });
});

describe('the result of a call that is not named', () => {
  it('belongs to the last call, and to none where there is none', () => {
    const result = read('responses', {
      input: [
        { type: 'function_call', call_id: 'c1', name: 'look', arguments: '{}' },
        { type: 'function_call_output', output: 'a bird' },
      ],
    });
    expect(result.ok && result.request.generate.messages?.at(-1)).toEqual({
      role: 'tool',
      content: 'a bird',
      tool_call_id: 'c1',
    });
    const alone = read('responses', {
      input: [{ type: 'function_call_output', call_id: null, output: 'a bird' }],
    });
    expect(alone.ok).toBe(true);
  });
});

describe('a choice that lacks something', () => {
  it.each(['function', 'custom', 'allowed_tools', 'auto', 'required'])(
    'Responses: {"type": "%s"} is not called a hosted tool',
    (type) => {
      const tools = [{ type: 'function', name: 'look' }];
      const result = read('responses', { input: 'Where?', tools, tool_choice: { type } });
      expect(result.ok ? null : result.error).toMatchObject({
        param: 'tool_choice',
        message: expect.stringContaining('must be "none", "auto", "required"'),
      });
    },
  );
});

function nested(depth: number): object {
  return depth === 0 ? { type: 'string' } : { type: 'array', items: nested(depth - 1) };
}
