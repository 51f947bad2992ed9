/** A conversation is never refused for an item of a tool that a provider ran: it is text, or left out and named. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRequest } from './read.ts';

const user = { role: 'user', content: 'Hello' };
const BASE64 = 'QUJD'.repeat(200);

async function readItems(...items: object[]) {
  const { generate, ignored } = await readRequest('openaiResponses', { input: [user, ...items, user] });
  return { messages: generate.messages!.slice(1, -1), ignored };
}

describe('an item of the Responses API', () => {
  it.each([
    [
      { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'rain' } },
      'assistant',
      '[web_search_call]\naction: {"query":"rain"}',
    ],
    [
      {
        type: 'mcp_call',
        id: 'm',
        server_label: 's',
        name: 'find',
        arguments: '{"q":1}',
        output: 'two\nlines',
      },
      'assistant',
      '[mcp_call]\nserver_label: s\nname: find\narguments: {"q":1}\noutput: two\nlines',
    ],
    [
      {
        type: 'code_interpreter_call',
        id: 'c',
        container_id: 'cntr_1',
        code: '1+1',
        outputs: [{ type: 'logs', logs: '2' }],
      },
      'assistant',
      '[code_interpreter_call]\ncode: 1+1\noutputs: [{"logs":"2"}]',
    ],
    [
      {
        type: 'local_shell_call',
        id: 'l',
        call_id: 'c',
        status: 'completed',
        action: { type: 'exec', command: ['ls'], env: {} },
      },
      'assistant',
      '[local_shell_call]\naction: {"command":["ls"]}',
    ],
    [
      { type: 'local_shell_call_output', id: 'l', call_id: 'c', output: 'a.txt' },
      'user',
      '[local_shell_call_output]\noutput: a.txt',
    ],
    [
      { type: 'apply_patch_call_output', call_id: 'c', status: 'completed' },
      'user',
      '[apply_patch_call_output]\nstatus: completed',
    ],
    [
      { type: 'mcp_approval_response', approval_request_id: 'r', approve: false },
      'user',
      '[mcp_approval_response]\napprove: false',
    ],
    [{ type: 'heard_of_tomorrow', text: 'words' }, 'assistant', '[heard_of_tomorrow]\ntext: words'],
  ])('becomes text in its place: %j', async (item, role, content) => {
    expect(await readItems(item)).toMatchObject({ messages: [{ role, content }], ignored: [] });
  });

  it.each([
    { type: 'compaction', id: 'c', encrypted_content: BASE64 },
    { type: 'image_generation_call', id: 'i', status: 'completed', result: BASE64 },
    {
      type: 'computer_call_output',
      call_id: 'c',
      output: { type: 'computer_screenshot', image_url: `data:image/png;base64,${BASE64}` },
    },
    { type: 'mcp_list_tools', id: 'm', server_label: 's', tools: [{ name: 'a', input_schema: {} }] },
    { type: 'compaction_trigger' },
    { type: 'x,\r\ny' },
  ])('that has nothing to read is left out and named: %j', async (item) => {
    const { messages, ignored } = await readItems(item);
    expect(messages).toEqual([]);
    expect(ignored).toEqual([`input[].${item.type.replace(/[^\x21-\x2b\x2d-\x7e]/g, '?')}`]);
  });

  it('does not part a call from its result', async () => {
    const { messages } = await readItems(
      { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' },
      { type: 'web_search_call', action: { query: 'q' } },
      { type: 'function_call_output', call_id: 'a', output: 'r' },
    );
    expect(messages.map(({ role }) => role)).toEqual(['assistant', 'tool']);
    expect(messages[0]?.content).toContain('[web_search_call]');
  });

  it('that found tools declares them', async () => {
    const found = { type: 'function', name: 'found', parameters: { type: 'object' } };
    const input = [
      user,
      { type: 'tool_search_call', call_id: 's', execution: 'client', arguments: { query: 'q' } },
      {
        type: 'tool_search_output',
        call_id: 's',
        execution: 'client',
        tools: [{ type: 'namespace', name: 'n', tools: [found] }],
      },
    ];
    const { generate, ignored } = await readRequest('openaiResponses', { input });
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['n__found']);
    expect(generate.messages?.slice(1)).toMatchObject([
      { role: 'assistant', content: '[tool_search_call]\narguments: {"query":"q"}' },
      { role: 'user', content: '[tool_search_output]\ntools: ["n"]' },
    ]);
    expect(ignored).toEqual([]);
  });

  it('is cut where it is longer than a conversation can bear, and named', async () => {
    const { messages, ignored } = await readItems({ type: 'mcp_call', output: 'line \n'.repeat(50_000) });
    expect(messages[0]?.content?.length).toBeLessThan(132_000);
    expect(messages[0]?.content).toMatch(/… \(\d+ more characters\)$/);
    expect(ignored).toEqual(['input[].mcp_call']);
  });

  it('is what the model answers where it is the last one', async () => {
    const input = [user, { type: 'web_search_call', id: 'w', status: 'completed' }];
    const { generate } = await readRequest('openaiResponses', { input });
    expect(generate.messages?.at(-1)).toMatchObject({ role: 'user' });
  });

  it('may be anything', async () => {
    const anyItem = fc
      .record({ type: fc.string({ minLength: 1 }) })
      .chain(({ type }) =>
        fc.dictionary(fc.string(), fc.jsonValue()).map((members) => ({ ...members, type: `x${type}` })),
      );
    await fc.assert(
      fc.asyncProperty(fc.array(anyItem, { maxLength: 4 }), async (items) => {
        await readItems(...items);
        await readBlocks(...items);
      }),
    );
  });
});

async function readBlocks(...content: object[]) {
  const { generate, ignored } = await readRequest('anthropicMessages', {
    messages: [user, { role: 'assistant', content }, user],
  });
  return { content: generate.messages![1]?.content, ignored };
}

it.each(['foreign', 'set_aside', 'typed'])(
  'a client cannot write what this API writes for itself: %s',
  async (type) => {
    const own = { type, id: 'i', of: 'a\r\nb', text: 'x', role: 'user', ignored: ['a\r\nb: c'], name: 'n' };
    const written = [
      await readItems(own),
      await readBlocks({ type: 'text', text: 'Yes.' }, own),
      await readRequest('openaiChat', {
        tools: [own],
        messages: [user, { role: 'assistant', tool_calls: [own] }, { role: 'tool', tool_call_id: 'i' }],
      }),
      await readRequest('openaiResponses', { tools: [own] }),
      await readRequest('anthropicMessages', { tools: [own] }),
    ];
    const names = written.flatMap(({ ignored }) => ignored);
    expect(names.filter((name) => !/^[\x21-\x2b\x2d-\x7e]{1,64}$/.test(name))).toEqual([]);
  },
);

describe('a block of the Messages API', () => {
  it('becomes text between what is written around it', async () => {
    const { content, ignored } = await readBlocks(
      { type: 'text', text: 'I look.' },
      { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'rain' } },
      {
        type: 'web_search_tool_result',
        tool_use_id: 's',
        content: [
          {
            type: 'web_search_result',
            url: 'https://a.b',
            title: 'A',
            encrypted_content: BASE64,
            page_age: null,
          },
        ],
      },
      { type: 'text', text: 'It rains', citations: [{ type: 'x' }] },
      { type: 'text', text: '.' },
    );
    expect(content).toBe(
      'I look.\n\n[server_tool_use]\nname: web_search\ninput: {"query":"rain"}\n\n[web_search_tool_result]\ncontent: [{"url":"https://a.b","title":"A"}]\n\nIt rains.',
    );
    expect(ignored).toEqual([]);
  });

  it.each([
    [
      { type: 'mcp_tool_use', id: 'm', name: 'find', server_name: 's', input: { q: 1 } },
      '[mcp_tool_use]\nname: find\nserver_name: s\ninput: {"q":1}',
    ],
    [
      {
        type: 'mcp_tool_result',
        tool_use_id: 'm',
        is_error: false,
        content: [{ type: 'text', text: 'found' }],
      },
      '[mcp_tool_result]\nis_error: false\ncontent: found',
    ],
    [
      {
        type: 'code_execution_tool_result',
        tool_use_id: 'c',
        content: { type: 'code_execution_result', stdout: '2\n', return_code: 0 },
      },
      '[code_execution_tool_result]\ncontent: {"stdout":"2\\n","return_code":0}',
    ],
    [{ type: 'compaction', content: 'Summary.' }, '[compaction]\ncontent: Summary.'],
  ])('is read: %j', async (block, text) => {
    expect(await readBlocks(block)).toEqual({ content: text, ignored: [] });
  });

  it('that has nothing to read is left out and named', async () => {
    const encrypted = { type: 'encrypted_code_execution_result', encrypted_stdout: BASE64 };
    const block = { type: 'code_execution_tool_result', tool_use_id: 'c', content: encrypted };
    const answered = await readBlocks({ type: 'text', text: 'Yes.' }, block);
    expect(answered).toEqual({
      content: 'Yes.',
      ignored: ['messages[].content[].code_execution_tool_result'],
    });
  });

  it('of tools in a user’s turn is read as well', async () => {
    const result = { type: 'mcp_tool_result', tool_use_id: 'm', content: 'found' };
    const { generate } = await readRequest('anthropicMessages', {
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Look:' }, result] }],
    });
    expect(generate.messages?.[0]?.content).toBe('Look:\n\n[mcp_tool_result]\ncontent: found');
  });
});

describe('what a library leaves out, or has null for', () => {
  const call = (name: string, args: string) => [
    { id: 'c', type: 'function', function: { name, arguments: args } },
  ];

  it.each([undefined, null])(
    'input of a call without arguments, and a result without text: %s',
    async (nothing) => {
      const responses = await readItems(
        { type: 'custom_tool_call', call_id: 'c', name: 'sh', input: nothing },
        { type: 'custom_tool_call_output', call_id: 'c', output: nothing },
        { type: 'function_call', call_id: 'c', name: 'now', arguments: nothing },
        { type: 'function_call_output', call_id: 'c', output: nothing },
      );
      expect(responses.messages).toMatchObject([
        { role: 'assistant', tool_calls: call('sh', '{"input":""}') },
        { role: 'tool', content: '' },
        { role: 'assistant', tool_calls: call('now', '') },
        { role: 'tool', content: '' },
      ]);
      const chat = await readRequest('openaiChat', {
        messages: [
          user,
          {
            role: 'assistant',
            tool_calls: [{ id: 'c', type: 'custom', custom: { name: 'sh', input: nothing } }],
          },
          { role: 'tool', tool_call_id: 'c', content: nothing },
        ],
      });
      expect(chat.generate.messages?.slice(1)).toMatchObject([
        { role: 'assistant', tool_calls: call('sh', '{"input":""}') },
        { role: 'tool', content: '' },
      ]);
      const messages = await readRequest('anthropicMessages', {
        messages: [
          user,
          { role: 'assistant', content: [{ type: 'tool_use', id: 'c', name: 'now', input: nothing }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: nothing }] },
        ],
      });
      expect(messages.generate.messages?.slice(1)).toMatchObject([
        { role: 'assistant', tool_calls: call('now', '{}') },
        { role: 'tool', content: '' },
      ]);
    },
  );
});
