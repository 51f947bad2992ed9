/** Conversations that end with a message of the assistant's: the model goes on with it where the client asks for that. */
import { describe, expect, it } from 'vitest';
import { messagesOf, read } from './read.ts';

const user = { role: 'user', content: 'Hi' };
const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };

describe('a chat', () => {
  const chat = (...messages: object[]) => messagesOf('chat', { messages: [user, ...messages] });
  it('goes on with a last message that is a prefix, in the answer or in the thought', () => {
    const prefix = { role: 'assistant', prefix: true };
    expect(chat({ ...prefix, content: 'One' })).toEqual([user, { role: 'answer_prefix', content: 'One' }]);
    expect(chat({ ...prefix, content: 'One', reasoning_content: 'Hm' })).toEqual([
      user,
      { role: 'answer_prefix', content: 'One', reasoning_content: 'Hm' },
    ]);
    for (const content of ['', null, undefined])
      expect(chat({ ...prefix, content, reasoning_content: 'Hm' })).toEqual([
        user,
        { role: 'answer_prefix', content: null, reasoning_content: 'Hm' },
      ]);
    // Blanks are the client's own: a line of code may have to go on behind its indentation.
    expect(chat({ ...prefix, content: 'One ' })).toEqual([user, { role: 'answer_prefix', content: 'One ' }]);
  });

  it('begins anew behind an empty prefix', () => {
    expect(chat({ role: 'assistant', content: '', prefix: true })).toEqual([user]);
  });

  it.each([false, null, undefined])(
    'that ends with an answer is refused by its place: prefix %s',
    (prefix) => {
      expect(chat({ role: 'assistant', content: 'A', prefix })).toMatch(
        /"param":"messages\[1\]".*`prefix` to true/,
      );
    },
  );

  it('refuses a prefix with calls, behind another answer, and behind nothing', () => {
    const prefix = { role: 'assistant', content: 'B', prefix: true };
    expect(chat({ ...prefix, tool_calls: [call] })).toMatch(/messages\[1\]\.prefix.*tool calls/);
    expect(chat({ role: 'assistant', content: 'A' }, prefix)).toMatch(/messages\[2\]\.prefix.*Join the two/);
    expect(messagesOf('chat', { messages: [prefix] })).toMatch(/messages\[0\]\.prefix.*no message/);
    expect(chat({ role: 'assistant', content: null, tool_calls: [call] })).toMatch(
      /messages\[1\].*tool calls/,
    );
  });

  it('names a prefix that others follow, and takes it for an answer', () => {
    const messages = [user, { role: 'assistant', content: 'A', prefix: true }, user];
    const result = read('chat', { messages });
    expect(result.ok && result.request.ignored).toEqual(['messages[].prefix']);
    expect(messagesOf('chat', { messages })).toMatchObject([user, { role: 'assistant', content: 'A' }, user]);
  });
});

describe('Messages', () => {
  const messages = (content: unknown, more: object = {}) =>
    messagesOf('messages', { messages: [user, { role: 'assistant', content }], ...more });
  const thinking = { type: 'thinking', thinking: 'Hm', signature: 'x' };

  it('go on with the last message of the assistant', () => {
    expect(messages('One')).toEqual([user, { role: 'answer_prefix', content: 'One' }]);
    expect(messages([{ type: 'text', text: 'One' }])).toEqual([
      user,
      { role: 'answer_prefix', content: 'One' },
    ]);
    expect(messages([thinking, { type: 'text', text: 'One' }])).toEqual([
      user,
      { role: 'answer_prefix', content: 'One', reasoning_content: 'Hm' },
    ]);
    expect(messages([thinking])).toEqual([
      user,
      { role: 'answer_prefix', content: null, reasoning_content: 'Hm' },
    ]);
  });

  it('begin anew behind an empty one', () => {
    for (const content of ['', [], [{ type: 'text', text: '' }]]) expect(messages(content)).toEqual([user]);
  });

  it('take messages of the assistant in a row for one', () => {
    const row = ['One', ', two'].map((content) => ({ role: 'assistant', content }));
    expect(messagesOf('messages', { messages: [user, ...row] })).toEqual([
      user,
      { role: 'answer_prefix', content: 'One, two' },
    ]);
  });

  it('refuse blanks at the end, as Anthropic does', () => {
    for (const content of ['One ', 'One\n', '\n', [{ type: 'text', text: 'One\t' }]])
      expect(messages(content)).toContain('final assistant content cannot end with trailing whitespace');
  });

  it('refuse a beginning without its thought where thinking is asked for, as Anthropic does', () => {
    for (const type of [{ type: 'enabled', budget_tokens: 5 }, { type: 'adaptive' }]) {
      expect(messages('One', { thinking: type })).toContain('must start with a thinking block');
      expect(messages([thinking, { type: 'text', text: 'One' }], { thinking: type })).toHaveLength(2);
    }
    expect(messages('One', { thinking: { type: 'disabled' } })).toHaveLength(2);
  });

  it('refuse calls without results, by their place', () => {
    const use = { type: 'tool_use', id: 'c', name: 'f', input: {} };
    expect(messages([{ type: 'text', text: 'A' }, use])).toMatch(/messages\[1\].*tool calls/);
  });
});

describe('Responses', () => {
  it('that end with an answer are refused, since no field asks to go on with it', () => {
    const input = [user, { type: 'message', role: 'assistant', content: 'A' }];
    expect(messagesOf('responses', { input })).toMatch(/"param":"input".*End with one of the user/);
    const called = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };
    expect(messagesOf('responses', { input: [user, called] })).toMatch(/"param":"input".*tool calls/);
  });
});
