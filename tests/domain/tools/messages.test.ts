/** Tools of the Messages API: typed tools that clients run, and those that Anthropic's servers run. */
import { describe, expect, it } from 'vitest';
import { readError, readRequest, toolNames } from './read.ts';

const DIALECT = 'anthropicMessages';
const plain = { name: 'plain', input_schema: { type: 'object' } };

describe('a typed tool that the client runs', () => {
  it.each([
    ['bash_20250124', 'bash', ['command', 'restart']],
    ['bash_20241022', 'bash', ['command', 'restart']],
    [
      'text_editor_20250728',
      'str_replace_based_edit_tool',
      ['command', 'path', 'file_text', 'old_str', 'view_range', 'new_str', 'insert_line', 'insert_text'],
    ],
    [
      'text_editor_20250124',
      'str_replace_editor',
      ['command', 'path', 'file_text', 'old_str', 'view_range', 'new_str', 'insert_line'],
    ],
    [
      'memory_20250818',
      'memory',
      [
        'command',
        'path',
        'file_text',
        'old_str',
        'view_range',
        'new_str',
        'insert_line',
        'insert_text',
        'old_path',
        'new_path',
      ],
    ],
  ])('%s is told to the model with its schema', async (type, name, properties) => {
    const { generate, ignored } = await readRequest(DIALECT, {
      tools: [{ type, name }],
      tool_choice: { type: 'any' },
    });
    const [tool] = generate.tools!;
    expect(tool?.function.name).toBe(name);
    expect(Object.keys(tool?.function.parameters?.properties as object).sort()).toEqual(
      [...properties].sort(),
    );
    expect(generate.tool_choice).toBe('required');
    expect(ignored).toEqual([]);
  });
});

describe('a tool that nobody here runs', () => {
  it.each([
    'web_search_20250305',
    'web_fetch_20250910',
    'code_execution_20250825',
    'tool_search_tool_regex_20251119',
    'computer_20251124',
    'computer_toolset_20260801',
    'mcp_toolset',
    'advisor_20260301',
    'heard_of_tomorrow_20300101',
  ])('%s is set aside and named', async (type) => {
    const tools = [{ type, name: 'hosted', max_uses: 5, display_width_px: 10 }, plain];
    const { generate, ignored } = await readRequest(DIALECT, { tools });
    expect(generate.tools?.map((tool) => tool.function.name)).toEqual(['plain']);
    expect(ignored).toEqual([`tools[].${type}`]);
  });

  const tools = [{ type: 'web_search_20250305', name: 'web_search' }];
  it.each([
    [{ type: 'any' }, /no tool is left to call.*set aside web_search_20250305/],
    [{ type: 'tool', name: 'web_search' }, /names web_search, which this API has set aside/],
  ])('cannot be demanded: %j', async (tool_choice, message) => {
    expect(await readError(DIALECT, { tools, tool_choice })).toMatchObject({
      param: 'tool_choice',
      message: expect.stringMatching(message),
    });
  });

  it('may have the name of one that the client runs', async () => {
    expect(await toolNames(DIALECT, { tools: [...tools, { ...plain, name: 'web_search' }] })).toEqual([
      'web_search',
    ]);
  });
});

describe('names', () => {
  it('have up to 128 characters, as in Anthropic’s API', async () => {
    const name = 'x'.repeat(128);
    expect(await toolNames(DIALECT, { tools: [{ ...plain, name }] })).toEqual([name]);
    expect(await readError(DIALECT, { tools: [{ ...plain, name: `${name}x` }] })).toMatchObject({
      param: 'tools[0].name',
    });
  });

  it('are unique, as in Anthropic’s API', async () => {
    expect(
      await readError(DIALECT, { tools: [plain, { type: 'bash_20250124', name: 'plain' }] }),
    ).toMatchObject({
      param: 'tools[1].name',
      message: expect.stringContaining('unique'),
    });
  });
});

it.each([null, undefined, {}])('a function’s parameters may be %j', async (parameters) => {
  const chat = await readRequest('openaiChat', {
    tools: [{ type: 'function', function: { name: 'f', description: null, parameters, strict: null } }],
  });
  const responses = await readRequest('openaiResponses', {
    tools: [{ type: 'function', name: 'f', description: null, parameters, strict: null }],
  });
  expect(chat.generate.tools).toEqual(responses.generate.tools);
  expect(chat.generate.tools).toEqual([
    { type: 'function', function: { name: 'f', ...(parameters ? { parameters } : {}) } },
  ]);
});
