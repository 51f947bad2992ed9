/** Tools of chat completions: free-form ones, and `functions` as libraries sent them before `tools`. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { chunkFaults, completionFaults } from '../../shapes/openai-chat.ts';
import { nodeChunk, streamedText, wholeObject } from '../dialect-answer.ts';
import { readError, readRequest } from './read.ts';

const DIALECT = 'openaiChat';
const plain = { type: 'function', function: { name: 'plain', parameters: { type: 'object' } } };
const grammar = { type: 'grammar', grammar: { syntax: 'lark', definition: 'start: "x"' } };
const custom = { type: 'custom', custom: { name: 'patch', description: 'Edits.', format: grammar } };
const user = { role: 'user', content: 'Hello' };
const input = 'line 1\n"é" 😀 \\';
const args = JSON.stringify({ input });

function callChunks(
  calls: readonly { name: string; args: readonly string[] }[],
  end: 'tool_calls' | null = 'tool_calls',
) {
  const chunks = calls.flatMap(({ name, args: parts }, index): NodeChunk[] => [
    nodeChunk({ tool_calls: [{ index, id: `call_${name}`, type: 'function', function: { name } }] }),
    ...parts.map((part) => nodeChunk({ tool_calls: [{ index, function: { arguments: part } }] })),
  ]);
  return end === null ? chunks : [...chunks, nodeChunk({}, end)];
}

interface StreamedCall {
  index: number;
  id?: string;
  type?: string;
  function?: { name?: string; arguments?: string };
  custom?: { name?: string; input?: string };
}

/** The calls as a client puts them together: by index, strings one behind the other. */
function assembled(text: string) {
  const chunks = text
    .split('\n')
    .flatMap((row) => (row.startsWith('data: {') ? [JSON.parse(row.slice(6))] : []));
  const calls: StreamedCall[] = [];
  const legacy = { name: '', arguments: '' };
  let finish: string | null = null;
  for (const { delta, finish_reason } of chunks.flatMap(({ choices }) => choices)) {
    finish = finish_reason ?? finish;
    legacy.name += delta.function_call?.name ?? '';
    legacy.arguments += delta.function_call?.arguments ?? '';
    for (const call of (delta.tool_calls ?? []) as StreamedCall[]) {
      calls[call.index] ??= { index: call.index };
      const known = calls[call.index]!;
      if (call.id) known.id = call.id;
      if (call.type) known.type = call.type;
      if (call.custom)
        known.custom = {
          name: known.custom?.name ?? call.custom.name!,
          input: (known.custom?.input ?? '') + (call.custom.input ?? ''),
        };
      if (call.function)
        known.function = {
          name: known.function?.name ?? call.function.name!,
          arguments: (known.function?.arguments ?? '') + (call.function.arguments ?? ''),
        };
    }
  }
  return { calls, legacy, finish, chunks };
}

describe('a free-form tool', () => {
  const body = { tools: [plain, custom] };
  const expected = [
    { id: 'call_patch', type: 'custom', custom: { name: 'patch', input } },
    { id: 'call_plain', type: 'function', function: { name: 'plain', arguments: '{"a":1}' } },
  ];

  it('is told to the model as a function with its grammar, beside others', async () => {
    const { generate, ignored } = await readRequest(DIALECT, body);
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['plain', 'patch']);
    expect(generate.tools?.[1]?.function.description).toBe(
      'Edits.\n\n`input` is free-form text. It has to match this lark grammar:\nstart: "x"',
    );
    expect(ignored).toEqual([]);
  });

  it('is called with its text, however the engine cuts the arguments, and beside calls of functions', async () => {
    const anyCut = fc.array(fc.nat(args.length), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(anyCut, fc.boolean(), async (places, isEnded) => {
        const at = [...new Set(places)].sort((a, b) => a - b);
        const parts = [...at, args.length].map((end, i) => args.slice(at[i - 1] ?? 0, end));
        const calls = [
          { name: 'patch', args: parts },
          { name: 'plain', args: ['{"a"', ':1}'] },
        ];
        const chunks = callChunks(calls, isEnded ? 'tool_calls' : null);
        const streamed = assembled(await streamedText(DIALECT, chunks, { body }));
        expect(streamed.calls).toEqual(expected.map((call, index) => ({ index, ...call })));
        expect(streamed.finish).toBe(isEnded ? 'tool_calls' : 'length');
        expect(streamed.chunks.flatMap(chunkFaults)).toEqual([]);
        const whole = await wholeObject(DIALECT, chunks, { body });
        expect(completionFaults(whole)).toEqual([]);
        expect(whole.choices[0].message.tool_calls).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('shows an input that is known only at the end before the next call begins', async () => {
    const chunks = callChunks([
      { name: 'patch', args: ['{"patch":', '"other name"}'] },
      { name: 'plain', args: ['{}'] },
    ]);
    const { calls } = assembled(await streamedText(DIALECT, chunks, { body }));
    expect(calls[0]?.custom).toEqual({ name: 'patch', input: 'other name' });
  });

  it('is read back into the arguments that the model wrote', async () => {
    const messages = [
      user,
      { role: 'assistant', content: null, tool_calls: [expected[0]] },
      { role: 'tool', tool_call_id: 'call_patch', content: 'ok' },
    ];
    const { generate, ignored } = await readRequest(DIALECT, { ...body, messages });
    expect(generate.messages?.[1]).toEqual({
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'call_patch', type: 'function', function: { name: 'patch', arguments: args } }],
    });
    expect(ignored).toEqual([]);
  });

  it('is found by a choice, and allowed by one', async () => {
    const named = await readRequest(DIALECT, {
      ...body,
      tool_choice: { type: 'custom', custom: { name: 'patch' } },
    });
    expect(named.generate.tool_choice).toEqual({ type: 'function', function: { name: 'patch' } });
    const allowed_tools = { mode: 'auto', tools: [{ type: 'custom', custom: { name: 'patch' } }] };
    const { generate } = await readRequest(DIALECT, {
      ...body,
      tool_choice: { type: 'allowed_tools', allowed_tools },
    });
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['patch']);
    expect(generate.tool_choice).toBe('auto');
  });
});

describe('a tool of another type', () => {
  it('is set aside and named', async () => {
    const { generate, ignored } = await readRequest(DIALECT, {
      tools: [{ type: 'web_search', a: 1 }, plain],
    });
    expect(generate.tools).toHaveLength(1);
    expect(ignored).toEqual(['tools[].web_search']);
  });

  it('alone cannot be demanded', async () => {
    const body = { tools: [{ type: 'web_search' }], tool_choice: 'required' };
    expect(await readError(DIALECT, body)).toMatchObject({
      param: 'tool_choice',
      message: expect.stringContaining('set aside web_search'),
    });
  });

  it('that was called is text in the conversation', async () => {
    const call = { id: 'a', type: 'web_search', web_search: { query: 'rain' } };
    const messages = [user, { role: 'assistant', content: 'I look.', tool_calls: [call] }, user];
    const { generate } = await readRequest(DIALECT, { messages });
    expect(generate.messages?.[1]).toEqual({
      role: 'assistant',
      content: 'I look.\n\n[web_search]\nweb_search: {"query":"rain"}',
    });
  });
});

describe('the deprecated form of functions', () => {
  const parameters = { type: 'object', properties: { q: { type: 'string' } } };
  const body = { functions: [{ name: 'find', description: 'Finds.', parameters }] };

  it('is told to the model like tools', async () => {
    const { generate, ignored } = await readRequest(DIALECT, { ...body, function_call: { name: 'find' } });
    expect(generate.tools).toEqual([
      { type: 'function', function: { name: 'find', description: 'Finds.', parameters } },
    ]);
    expect(generate.tool_choice).toEqual({ type: 'function', function: { name: 'find' } });
    // A message of this form has room for one call, so the node ends the answer behind it.
    expect(generate.parallel_tool_calls).toBe(false);
    expect(ignored).toEqual([]);
  });

  it('is answered in the same form, with the first call', async () => {
    const chunks = callChunks([
      { name: 'find', args: ['{"q":', '"x"}'] },
      { name: 'find', args: ['{}'] },
    ]);
    const function_call = { name: 'find', arguments: '{"q":"x"}' };
    const streamed = assembled(await streamedText(DIALECT, chunks, { body }));
    expect(streamed).toMatchObject({ legacy: function_call, calls: [], finish: 'function_call' });
    expect(streamed.chunks.flatMap(chunkFaults)).toEqual([]);
    const whole = await wholeObject(DIALECT, chunks, { body });
    expect(completionFaults(whole)).toEqual([]);
    expect(whole.choices[0]).toMatchObject({
      message: { content: null, function_call },
      finish_reason: 'function_call',
    });
    expect(whole.choices[0].message).not.toHaveProperty('tool_calls');
  });

  it('is read back, each result with the last call of its function', async () => {
    const call = (name: string) => ({
      role: 'assistant',
      content: null,
      function_call: { name, arguments: '{}' },
    });
    const result = (name: string) => ({ role: 'function', name, content: name });
    const messages = [
      user,
      call('a'),
      result('a'),
      call('b'),
      call('a'),
      result('b'),
      result('a'),
      result('c'),
    ];
    const { generate } = await readRequest(DIALECT, { ...body, messages });
    const ids = generate.messages!.map((message) =>
      message.role === 'tool'
        ? message.tool_call_id
        : message.role === 'assistant'
          ? message.tool_calls?.[0]?.id
          : null,
    );
    expect(ids).toEqual([null, 'call_1', 'call_1', 'call_3', 'call_4', 'call_3', 'call_4', 'call_7']);
  });

  it('is refused beside tools', async () => {
    expect(await readError(DIALECT, { ...body, tools: [plain] })).toMatchObject({ param: 'functions' });
  });
});
