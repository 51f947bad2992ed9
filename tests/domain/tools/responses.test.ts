/** Tools of the Responses API: what Codex declares by itself, translated to functions and back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { responseFaults, responseStreamFaults } from '../../shapes/openai-responses.ts';
import { nodeChunk, streamedText, wholeObject } from '../dialect-answer.ts';
import codex from './codex-0.171-requests.json' with { type: 'json' };
import { readError, readRequest, toolNames } from './read.ts';

const DIALECT = 'openaiResponses';
const parameters = { type: 'object', properties: { q: { type: 'string' } } };
const plain = { type: 'function', name: 'plain', parameters };
const custom = { type: 'custom', name: 'patch', description: 'Edits.' };
const namespace = (name: string, ...names: string[]) => ({
  type: 'namespace',
  name,
  description: 'A server.',
  tools: names.map((each) => ({ type: 'function', name: each, parameters })),
});

function callChunks(name: string, args: readonly string[]): NodeChunk[] {
  return [
    nodeChunk({ tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name } }] }),
    ...args.map((part) => nodeChunk({ tool_calls: [{ index: 0, function: { arguments: part } }] })),
    nodeChunk({}, 'tool_calls'),
  ];
}

function eventsOf(text: string) {
  return text.split('\n').flatMap((row) => (row.startsWith('data: {') ? [JSON.parse(row.slice(6))] : []));
}

describe('a request of Codex 0.171', () => {
  it('in its default form has all tools but the hosted one', async () => {
    const { generate, ignored } = await readRequest(DIALECT, codex.default);
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual([
      'exec_command',
      'write_stdin',
      'request_user_input',
      'view_image',
      ...['close_agent', 'resume_agent', 'send_input', 'spawn_agent', 'wait_agent'].map(
        (name) => `multi_agent_v1__${name}`,
      ),
      'get_goal',
      'create_goal',
      'update_goal',
    ]);
    expect(ignored).toContain('tools[].web_search');
    expect(ignored.filter((name) => name.startsWith('input'))).toEqual([]);
    expect(JSON.stringify(generate)).not.toContain('external_web_access');
  });

  it('reads its calls back as the model wrote them', async () => {
    const { generate } = await readRequest(DIALECT, codex['free-form']);
    const [called, , result] = generate.messages!.slice(-3);
    expect(called).toMatchObject({
      role: 'assistant',
      tool_calls: [
        {
          id: 'call_ns',
          function: { name: 'multi_agent_v1__close_agent', arguments: '{"target":"nobody"}' },
        },
        {
          id: 'call_ct',
          function: {
            name: 'apply_patch',
            arguments: '{"input":"*** Begin Patch\\n*** Add File: a.txt\\n+hi\\n*** End Patch"}',
          },
        },
      ],
    });
    expect(result).toMatchObject({ role: 'tool', tool_call_id: 'call_ct' });
    const patch = generate.tools?.find((tool) => tool.function.name === 'apply_patch')?.function;
    expect(patch?.description).toContain('start: begin_patch hunk+ end_patch');
    expect(patch?.parameters).toMatchObject({ required: ['input'] });
  });

  it('may declare all tools within its input', async () => {
    expect(codex['declared-in-input']).not.toHaveProperty('tools');
    expect(await toolNames(DIALECT, codex['declared-in-input'])).toContain('functions__exec');
  });

  it.each(Object.entries(codex))('%s is answered in OpenAI’s shape', async (_, body) => {
    expect(
      responseFaults(await wholeObject(DIALECT, [nodeChunk({ content: 'Yes' }, 'stop')], { body })),
    ).toEqual([]);
  });
});

describe('a namespace', () => {
  const body = { tools: [plain, namespace('mcp__a', 'find', 'open')] };

  it('is told to the model with its first tool, once', async () => {
    const { generate } = await readRequest(DIALECT, body);
    expect(generate.tools?.map((tool) => [tool.function.name, tool.function.description])).toEqual([
      ['plain', undefined],
      ['mcp__a__find', '[mcp__a: A server.]'],
      ['mcp__a__open', undefined],
    ]);
  });

  it('comes back in a call, streamed and whole', async () => {
    const chunks = callChunks('mcp__a__find', ['{"q":', '"x"}']);
    const text = await streamedText(DIALECT, chunks, { body });
    expect(responseStreamFaults(text)).toEqual([]);
    const item = { type: 'function_call', call_id: 'call_a', name: 'find', namespace: 'mcp__a' };
    const added = eventsOf(text).find(({ type }) => type === 'response.output_item.added');
    expect(added.item).toMatchObject({ ...item, arguments: '' });
    const { output } = await wholeObject(DIALECT, chunks, { body });
    expect(output).toMatchObject([{ ...item, arguments: '{"q":"x"}' }]);
    const again = await readRequest(DIALECT, {
      ...body,
      input: [...output, { type: 'function_call_output', call_id: 'call_a', output: 'found' }],
    });
    expect(again.generate.messages?.[0]).toMatchObject({
      tool_calls: [{ id: 'call_a', function: { name: 'mcp__a__find', arguments: '{"q":"x"}' } }],
    });
  });

  it.each([[{ type: 'function', name: 'find', namespace: 'mcp__a' }], [{ type: 'function', name: 'find' }]])(
    'is found by a choice: %j',
    async (tool_choice) => {
      const { generate } = await readRequest(DIALECT, { ...body, tool_choice });
      expect(generate.tool_choice).toEqual({ type: 'function', function: { name: 'mcp__a__find' } });
    },
  );

  const anyName = fc.oneof(
    fc.constantFrom('a', 'b', 'a__b', 'b__c', 'a__b__c', '__', 'é', 'a b', 'a.b', 'x'.repeat(128)),
    fc.string({ minLength: 1, maxLength: 128 }),
  );
  it('has names that the model can call, each its own, whatever the client’s are', async () => {
    const spaces = fc.array(fc.record({ name: anyName, tools: fc.array(anyName, { maxLength: 4 }) }), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(spaces, async (list) => {
        const tools = [
          { ...plain, name: 'a__b' },
          ...list.map(({ name, tools: names }) => namespace(name, ...names)),
        ];
        const names = await toolNames(DIALECT, { tools });
        expect(new Set(names).size).toBe(names.length);
        expect(names.filter((name) => !/^[\w-]{1,128}$/.test(name))).toEqual([]);
        expect(await toolNames(DIALECT, { tools })).toEqual(names);
        const called = new Set<string>();
        for (const name of names) {
          const { output } = await wholeObject(DIALECT, callChunks(name, ['{}']), { body: { tools } });
          called.add(JSON.stringify([output[0].namespace ?? null, output[0].name]));
          const { generate } = await readRequest(DIALECT, {
            ...{
              tools,
              input: [...output, { type: 'function_call_output', call_id: output[0].call_id, output: '' }],
            },
          });
          expect(generate.messages?.[0]).toMatchObject({ tool_calls: [{ function: { name } }] });
        }
        expect(called.size).toBe(names.length);
      }),
      { numRuns: 60 },
    );
  });

  it('counts all of its tools', async () => {
    const many = Array.from({ length: 128 }, (_, i) => `t${i}`);
    expect(await readError(DIALECT, { tools: [plain, namespace('n', ...many)] })).toMatchObject({
      param: 'tools',
      message: expect.stringContaining('at most 128'),
    });
    const broken = {
      ...namespace('n', 'a'),
      tools: [{ type: 'function', name: 'a', parameters: { type: 'strng' } }],
    };
    expect(await readError(DIALECT, { tools: [plain, broken] })).toMatchObject({
      param: 'tools[1].tools[0].parameters.type',
    });
  });
});

describe('a free-form tool', () => {
  const body = { tools: [custom] };
  const input = '*** Begin Patch\n+é "😀" \\ \t\n*** End Patch';
  const args = JSON.stringify({ input });

  it('is called with its text, however the engine cuts the arguments', async () => {
    const anyCut = fc.array(fc.nat(args.length), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(anyCut, async (places) => {
        const at = [...new Set(places)].sort((a, b) => a - b);
        const parts = [...at, args.length].map((end, i) => args.slice(at[i - 1] ?? 0, end));
        const text = await streamedText(DIALECT, callChunks('patch', parts), { body });
        expect(responseStreamFaults(text)).toEqual([]);
        const events = eventsOf(text);
        const deltas = events.filter(({ type }) => type === 'response.custom_tool_call_input.delta');
        expect(deltas.map(({ delta }) => delta).join('')).toBe(input);
        expect(events.find(({ type }) => type === 'response.custom_tool_call_input.done').input).toBe(input);
        expect(events.at(-1).response.output).toMatchObject([
          { type: 'custom_tool_call', call_id: 'call_a', name: 'patch', input, status: 'completed' },
        ]);
      }),
      { numRuns: 50 },
    );
  });

  it('is read back into the arguments that the model wrote', async () => {
    const { output } = await wholeObject(DIALECT, callChunks('patch', [args]), { body });
    const result = {
      type: 'custom_tool_call_output',
      call_id: 'call_a',
      output: [{ type: 'input_text', text: 'ok' }],
    };
    const { generate } = await readRequest(DIALECT, { ...body, input: [...output, result] });
    expect(generate.messages).toMatchObject([
      { tool_calls: [{ id: 'call_a', function: { name: 'patch', arguments: args } }] },
      { role: 'tool', content: 'ok', tool_call_id: 'call_a' },
    ]);
  });

  it.each([
    [undefined, 'Edits.\n\n`input` is free-form text.'],
    [{ type: 'text' }, 'Edits.\n\n`input` is free-form text.'],
    [
      { type: 'grammar', syntax: 'regex', definition: '[a-z]+' },
      'Edits.\n\n`input` is free-form text. It has to match this regular expression:\n[a-z]+',
    ],
  ])('tells the model its format: %j', async (format, description) => {
    const { generate } = await readRequest(DIALECT, { tools: [{ ...custom, format }] });
    expect(generate.tools?.[0]?.function.description).toBe(description);
  });
});

describe('a declaration that nobody runs', () => {
  const hosted = [
    'web_search',
    'file_search',
    'code_interpreter',
    'mcp',
    'local_shell',
    'tool_search',
    'new_thing',
  ];

  it.each(hosted)('%s is set aside and named', async (type) => {
    const tools = [{ type, name: 'x', secret: 'value', tools: [{ type: 'function' }] }, plain];
    const { generate, ignored } = await readRequest(DIALECT, { tools });
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['plain']);
    expect(ignored).toEqual([`tools[].${type}`]);
  });

  it('within a namespace is named, too', async () => {
    const tools = [
      {
        ...namespace('n', 'a'),
        tools: [
          { type: 'shell', a: 1 },
          { type: 'function', name: 'a' },
        ],
      },
    ];
    const { ignored } = await readRequest(DIALECT, { tools });
    expect(ignored).toEqual(['tools[].tools[].shell']);
  });

  it('cannot write into a header, nor fill it', async () => {
    const tools = Array.from({ length: 100 }, (_, i) => ({ type: `a\r\n, b${i}${'x'.repeat(500)}` }));
    const { ignored } = await readRequest(DIALECT, { tools });
    expect(ignored.length).toBeLessThanOrEqual(33);
    expect(ignored.filter((name) => !/^[\x21-\x2b\x2d-\x7e]{1,64}$/.test(name))).toEqual([]);
  });

  it.each([
    [{ type: 'web_search' }, /names web_search, which this API has set aside/],
    [{ type: 'mcp', server_label: 's' }, /names mcp/],
    [{ type: 'apply_patch' }, /names apply_patch/],
    ['required', /requires a call, and no tool is left .* set aside web_search/],
    [{ type: 'allowed_tools', mode: 'required', tools: [{ type: 'web_search' }] }, /no tool is left/],
    [{ type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'none' }] }, /allows none/],
  ])('cannot be demanded: %j', async (tool_choice, message) => {
    expect(await readError(DIALECT, { tools: [{ type: 'web_search' }], tool_choice })).toMatchObject({
      reason: 'invalid_field',
      param: 'tool_choice',
      message: expect.stringMatching(message),
    });
  });
});

describe('a choice among tools', () => {
  const tools = [plain, custom, namespace('n', 'a')];

  it('of a free-form tool demands its function', async () => {
    const { generate } = await readRequest(DIALECT, {
      tools,
      tool_choice: { type: 'custom', name: 'patch' },
    });
    expect(generate.tool_choice).toEqual({ type: 'function', function: { name: 'patch' } });
  });

  it('of allowed tools leaves the others out', async () => {
    const tool_choice = {
      type: 'allowed_tools',
      mode: 'required',
      tools: [
        { type: 'custom', name: 'patch' },
        { type: 'function', name: 'a', namespace: 'n' },
        { type: 'mcp', server_label: 's' },
      ],
    };
    const { generate } = await readRequest(DIALECT, { tools, tool_choice });
    expect(generate.tool_choice).toBe('required');
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['patch', 'n__a']);
  });

  it('of two tools with one name takes the later one', async () => {
    const later = { ...plain, description: 'later' };
    const { generate, ignored } = await readRequest(DIALECT, { tools: [plain, later] });
    expect(generate.tools?.map((tool) => tool.function.description)).toEqual(['later']);
    expect(ignored).toEqual(['tools[].function']);
  });
});

it('tools that every turn of a stored conversation declares again are there once, and not too many', async () => {
  const look = { type: 'function', name: 'look' };
  const group = (...names: string[]) => ({
    type: 'namespace',
    name: 'files',
    tools: names.map((name) => ({ type: 'function', name })),
  });
  const turn = [
    { type: 'additional_tools', role: 'developer', tools: [look, group('read')] },
    { type: 'tool_search_output', call_id: 'c', tools: [group('write')] },
    { role: 'user', content: 'Hello' },
  ];
  const input = Array.from({ length: 100 }, () => turn).flat();
  const request = await readRequest('openaiResponses', { tools: [look], input });
  const names = request.generate.tools?.map((tool) => tool.function.name);
  expect(names).toEqual(['look', 'files__read', 'files__write']);
  expect(request.ignored).toEqual([]);
});

describe('a line of a batch, which is read without the store of responses', () => {
  it('names a store that was asked for', async () => {
    expect((await readRequest('openaiResponses', { store: true })).ignored).toEqual(['store']);
    expect((await readRequest('openaiResponses', {})).ignored).toEqual([]);
  });

  it.each([
    ['previous_response_id', { previous_response_id: 'resp_1' }],
    [
      'input[1]',
      {
        input: [
          { role: 'user', content: 'Hello' },
          { type: 'item_reference', id: 'msg_1' },
        ],
      },
    ],
  ])('refuses what refers to it: %s', async (param, body) => {
    const error = await readError('openaiResponses', body);
    expect(error).toMatchObject({ param, message: expect.stringContaining('is not supported in batches') });
  });
});
