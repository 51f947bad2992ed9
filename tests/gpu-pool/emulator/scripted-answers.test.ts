/** Answers that a test has written for the next requests (`/emulator/answers`). */
import { expect, it } from 'vitest';
import { complete, emulate, stream, textOf, user } from './client.ts';

const messages = user('What now?');
const tools = [{ type: 'function', function: { name: 'read', parameters: { type: 'object' } } }];

function script(url: string, answers: unknown, method = 'POST'): Promise<Response> {
  return fetch(`${url}/emulator/answers`, {
    method,
    body: method === 'POST' ? JSON.stringify(answers) : undefined,
  });
}

it('gives scripted answers in order, then generates again', async () => {
  const { url } = await emulate();
  await script(url, [{ thought: 'Hm. ', text: 'First.' }, { text: 'Second.' }]);
  const first = await complete(url, { messages });
  expect(first.choices[0].message).toMatchObject({ content: 'First.', reasoning_content: 'Hm. ' });
  expect(textOf(await stream(url, { messages }), 'content')).toBe('Second.');
  expect((await complete(url, { messages })).choices[0].message.content).toMatch(/^Here is the answer/);
});

it('calls tools with the scripted arguments', async () => {
  const { url } = await emulate();
  await script(url, [
    {
      text: 'Look. ',
      calls: [
        { name: 'read', arguments: { path: 'a' } },
        { name: 'read', arguments: {} },
      ],
    },
  ]);
  const { choices } = await complete(url, { messages, tools });
  expect(choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: {
      tool_calls: [
        { function: { name: 'read', arguments: '{"path": "a"}' } },
        { function: { arguments: '{}' } },
      ],
    },
  });
});

it('keeps an answer for the kind of request that it is for, and repeats it as often as it says', async () => {
  const { url } = await emulate();
  await script(url, [
    { text: 'Called.', for: 'with_tools' },
    { text: 'A title', for: 'without_tools', times: 2 },
  ]);
  const contentOf = async (body: object) => (await complete(url, body)).choices[0].message.content;
  expect([await contentOf({ messages }), await contentOf({ messages })]).toEqual(['A title', 'A title']);
  expect(await contentOf({ messages, tools })).toBe('Called.');
  expect(await (await fetch(`${url}/emulator/answers`)).json()).toEqual({ answers: [] });
});

it('forgets them when told to, and refuses what is none', async () => {
  const { url } = await emulate();
  await script(url, [{ text: 'Never.' }]);
  expect((await script(url, null, 'DELETE')).status).toBe(204);
  expect((await complete(url, { messages })).choices[0].message.content).not.toBe('Never.');
  expect((await script(url, [{ words: 'x' }])).status).toBe(400);
});

it('has no thought where the model does not think', async () => {
  const { url } = await emulate({ modelPath: 'deepseek-ai/DeepSeek-V3-0324', reasoningParser: undefined });
  await script(url, [{ thought: 'Hm. ', text: 'At once.' }]);
  expect((await complete(url, { messages })).choices[0].message.content).toBe('At once.');
});
