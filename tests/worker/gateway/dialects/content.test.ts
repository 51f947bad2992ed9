/** Parts of messages that no model here can read, in every dialect: a conversation goes on after an image. */
import { describe, expect, it } from 'vitest';
import { messagesOf, type Name, read } from './read.ts';

const PNG = `data:image/png;base64,${'A'.repeat(30)}`;
const base64 = { type: 'base64', media_type: 'image/png', data: 'AAAA' };
const image = '[image (image/png) left out: this model reads text only]';

const ask = (name: Name, content: unknown) =>
  name === 'responses' ? { input: [{ role: 'user', content }] } : { messages: [{ role: 'user', content }] };
/** The part of text that a dialect's own clients write. */
const text = (name: Name, of: string) => ({ type: name === 'responses' ? 'input_text' : 'text', text: of });

describe('a part that is no text becomes a note of what was left out, and the answer names it', () => {
  const cases: [Name, object, string, string][] = [
    ['chat', { type: 'image_url', image_url: { url: PNG } }, image, 'image_url'],
    ['chat', { type: 'image_url', image_url: PNG }, image, 'image_url'],
    ['chat', { type: 'image_url' }, '[image left out: this model reads text only]', 'image_url'],
    [
      'chat',
      { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
      '[audio (wav) left out: this model reads text only]',
      'input_audio',
    ],
    [
      'chat',
      { type: 'file', file: { filename: 'report.pdf', file_data: 'data:application/pdf;base64,AAAA' } },
      '[file report.pdf (application/pdf) left out: this model reads text only]',
      'file',
    ],
    [
      'chat',
      { type: 'video_url', video_url: { url: 'https://a.test/b.mp4' } },
      '[video left out: this model reads text only]',
      'video_url',
    ],
    [
      'chat',
      { type: 'hologram', depth: 3 },
      '[content of type hologram left out: this model cannot read it]',
      'hologram',
    ],
    [
      'chat',
      { type: 'a b\n<think>', x: 1 },
      '[content of an unknown type left out: this model cannot read it]',
      'a?b?<think>',
    ],
    ['responses', { type: 'input_image', image_url: PNG, detail: 'auto' }, image, 'input_image'],
    [
      'responses',
      { type: 'input_file', filename: 'a.docx', file_id: 'file-1' },
      '[file a.docx left out: this model reads text only]',
      'input_file',
    ],
    ['messages', { type: 'image', source: base64 }, image, 'image'],
    [
      'messages',
      {
        type: 'document',
        title: 'Q3',
        source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' },
      },
      '[document Q3 (application/pdf) left out: this model reads text only]',
      'document',
    ],
    [
      'messages',
      { type: 'container_upload', file_id: 'file_1' },
      '[file left out: this model reads text only]',
      'container_upload',
    ],
  ];
  it.each(cases)('%s: %j', (name, part, note, type) => {
    const result = read(name, ask(name, [text(name, 'See'), part, text(name, 'this')]));
    expect(result).toMatchObject({ ok: true });
    if (!result.ok) return;
    expect(result.request.generate.messages).toEqual([{ role: 'user', content: `See\n${note}\nthis` }]);
    const list = name === 'responses' ? 'input' : 'messages';
    expect(result.request.ignored).toEqual([`${list}[].content[].${type}`]);
  });

  it('in the result of a tool: chat', () => {
    const messages = [
      { role: 'user', content: 'Look' },
      { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'a', content: [{ type: 'image_url', image_url: { url: PNG } }] },
    ];
    expect(messagesOf('chat', { messages })?.at(-1)).toEqual({
      role: 'tool',
      tool_call_id: 'a',
      content: image,
    });
  });

  it('in the result of a tool: responses', () => {
    const result = read('responses', {
      input: [
        { role: 'user', content: 'Look' },
        { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'a', output: [{ type: 'input_image', image_url: PNG }] },
      ],
    });
    expect(result.ok && result.request.generate.messages?.at(-1)).toMatchObject({
      role: 'tool',
      content: image,
    });
    expect(result.ok && result.request.ignored).toEqual(['input[].output[].input_image']);
  });

  it('in the result of a tool: messages', () => {
    const content = [
      { type: 'text', text: 'Read:' },
      { type: 'image', source: base64 },
    ];
    const result = read('messages', {
      messages: [
        { role: 'user', content: 'Look' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content }] },
      ],
    });
    expect(result.ok && result.request.generate.messages?.at(-1)).toMatchObject({
      role: 'tool',
      content: `Read:\n${image}`,
    });
    expect(result.ok && result.request.ignored).toEqual(['messages[].content[].content[].image']);
  });

  it('lists a bounded number of names', () => {
    const parts = Array.from({ length: 1_000 }, (_, index) => ({ type: `kind-${index}` }));
    const result = read('chat', ask('chat', [{ type: 'text', text: 'Hi' }, ...parts]));
    expect(result.ok && result.request.ignored).toHaveLength(33);
    expect(result.ok && result.request.ignored.at(-1)).toBe('...');
  });
});

describe('a part that is text in another form is passed on', () => {
  const data = (media: string, content: string) => `data:${media};base64,${btoa(content)}`;
  const cases: [Name, object, string][] = [
    ['chat', { type: 'input_text', text: 'Hi' }, 'Hi'],
    ['chat', { type: 'refusal', refusal: 'No.' }, 'No.'],
    [
      'chat',
      { type: 'file', file: { filename: 'a.md', file_data: data('text/markdown', '# A') } },
      'a.md\n# A',
    ],
    ['chat', { type: 'thinking', thinking: 'Hm' }, ''],
    ['responses', { type: 'input_file', file_data: data('text/plain', 'A') }, 'A'],
    ['responses', { type: 'input_file', file_data: data('application/json', '{}') }, '{}'],
    ['responses', { type: 'input_file', file_data: 'data:text/plain,a%20b' }, 'a b'],
    ['messages', { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'A' } }, 'A'],
    [
      'messages',
      { type: 'document', title: 'T', context: 'C', source: { type: 'content', content: 'A' } },
      'T\nC\nA',
    ],
    [
      'messages',
      {
        type: 'document',
        source: {
          type: 'content',
          content: [
            { type: 'text', text: 'A' },
            { type: 'image', source: base64 },
          ],
        },
      },
      `A\n${image}`,
    ],
    [
      'messages',
      {
        type: 'search_result',
        source: 'https://a.test',
        title: 'T',
        content: [{ type: 'text', text: 'A' }],
        citations: { enabled: false },
        cache_control: { type: 'ephemeral' },
      },
      'T\nhttps://a.test\nA',
    ],
  ];
  it.each(cases)('%s: %j', (name, part, expected) => {
    const result = read(name, ask(name, [part, text(name, '!')]));
    const separator = expected === '' ? '' : '\n';
    expect(result.ok && result.request.generate.messages).toEqual([
      { role: 'user', content: `${expected}${separator}!` },
    ]);
    if (expected !== '') expect(result.ok && result.request.ignored).toEqual([]);
  });

  it('names citations that were wanted of it, and text of an unknown type', () => {
    const document = {
      type: 'document',
      source: { type: 'text', data: 'A' },
      citations: { enabled: true },
    };
    const result = read('messages', ask('messages', [document, { type: 'note', text: 'B' }]));
    expect(result.ok && result.request.generate.messages).toEqual([{ role: 'user', content: 'A\n\nB' }]);
    expect(result.ok && result.request.ignored).toEqual([
      'messages[].content[].document',
      'messages[].content[].note',
    ]);
  });

  it.each(['data:text/plain;base64,!!', 'data:text/plain;base64,/w==', 'data:text/plain,%', 'JVBERi0='])(
    'unless it cannot be decoded: %s',
    (file_data) => {
      const body = ask('responses', [{ type: 'input_file', file_data }, text('responses', 'Hi')]);
      expect(JSON.stringify(messagesOf('responses', body))).toContain('[file');
    },
  );
});

describe('a request whose only content cannot be read', () => {
  const cases: [Name, unknown, string][] = [
    ['chat', [{ type: 'image_url', image_url: { url: PNG } }], 'messages[0].content[0]'],
    ['chat', [text('chat', ' \n'), { type: 'image_url' }], 'messages[0].content[1]'],
    ['responses', [{ type: 'input_image', image_url: PNG }], 'input[0].content[0]'],
    ['messages', [{ type: 'image', source: base64 }], 'messages[0].content[0]'],
  ];
  it.each(cases)('is refused, naming the part: %s %j', (name, content, param) => {
    const result = read(name, ask(name, content));
    expect(result).toMatchObject({ ok: false, error: { reason: 'invalid_field', param } });
    expect(!result.ok && 'message' in result.error && result.error.message).toContain('read text only');
  });

  it('is refused also with a system prompt, and answered once a user has said anything', () => {
    const system = { role: 'system', content: 'Describe images.' };
    const picture = { role: 'user', content: [{ type: 'image_url' }] };
    expect(messagesOf('chat', { messages: [system, picture] })).toContain('messages[1].content[0]');
    const before = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
    ];
    expect(messagesOf('chat', { messages: [...before, picture] })).toHaveLength(3);
  });
});

it('a malformed part is still refused, by its place', () => {
  expect(messagesOf('chat', ask('chat', [{ type: 'image_url' }, { type: 'text', text: 1 }]))).toContain(
    'messages[0].content',
  );
  expect(messagesOf('messages', ask('messages', [{ text: 'no type' }]))).toContain('messages[0].content[0]');
});
