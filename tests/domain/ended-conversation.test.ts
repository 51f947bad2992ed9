/** A counted conversation may end with an answer, with which no request could end. */
import { expect, it } from 'vitest';
import { endedChat, endedMessages, endedResponse } from '../../worker/gateway/count/ended-conversation.ts';

const user = { role: 'user', content: 'Hi' };
const next = { role: 'user', content: '' };
const answer = { role: 'assistant', content: 'One' };
const chat = (...messages: object[]) => endedChat({ messages }).messages;
const messages = (last: object, more: object = {}) =>
  endedMessages({ messages: [user, last], ...more }).messages;

it('an answer at the end is followed by an empty turn, and a begun one is not', () => {
  expect(chat(user, answer)).toEqual([user, answer, next]);
  expect(chat(user, { ...answer, prefix: true })).toHaveLength(2);
  expect(chat(user)).toEqual([user]);
  expect(endedResponse({ input: [user, answer] }).input).toEqual([user, answer, next]);
  expect(endedResponse({ input: [user, { type: 'function_call' }] }).input).toHaveLength(3);
  expect(endedResponse({ input: 'Hi' })).toEqual({ input: 'Hi' });
  expect(messages(answer)).toHaveLength(2);
  expect(messages({ ...answer, content: 'One\n' })).toHaveLength(3);
  expect(messages({ ...answer, content: [{ type: 'text', text: 'One ' }] })).toHaveLength(3);
  expect(
    messages({ ...answer, content: [{ type: 'text', text: 'One' }, { type: 'tool_use' }] }),
  ).toHaveLength(3);
  expect(messages(answer, { thinking: { type: 'adaptive' } })).toHaveLength(3);
});

it.each([null, 1, [null], [[]]])('what is malformed stays as it is: %j', (list) => {
  expect(endedChat({ messages: list })).toEqual({ messages: list });
  expect(endedMessages({ messages: [{ role: 'assistant', content: list }] })).toHaveProperty('messages');
});
