/** A request for one call at a time, in every dialect that has one: the node is told, and no further call reaches the client. */
import { expect, it } from 'vitest';
import { DONE, freshNetwork, usageOf } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { Customer, newModel } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit();
const messages = [{ role: 'user', content: 'Hello' }];
const parameters = { type: 'object' };
const chat = { messages, tools: [{ type: 'function', function: { name: 'now', parameters } }] };
const responses = { input: 'Hello', tools: [{ type: 'function', name: 'now', parameters }] };
const anthropic = { messages, max_tokens: 100, tools: [{ name: 'now', input_schema: parameters }] };
const choose = (type: string, more: object = {}) => ({
  tool_choice: { type, ...more, disable_parallel_tool_use: true },
});

/** The answer of an agent that is too old to know of the wish. */
const TWO_CALLS = [
  ...['a', 'b'].map((id, index) => ({
    choices: [
      {
        index: 0,
        delta: { tool_calls: [{ index, id, function: { name: 'now', arguments: '{}' } }] },
        finish_reason: null,
      },
    ],
    usage: usageOf(10, index + 1),
  })),
  { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' as const }], usage: usageOf(10, 2) },
  DONE,
];

it.each<[string, string, object]>([
  ['chat', '/v1/chat/completions', { ...chat, parallel_tool_calls: false }],
  ['responses', '/v1/responses', { ...responses, parallel_tool_calls: false }],
  ['messages, auto', '/v1/messages', { ...anthropic, ...choose('auto') }],
  ['messages, any', '/v1/messages', { ...anthropic, ...choose('any') }],
  ['messages, a tool', '/v1/messages', { ...anthropic, ...choose('tool', { name: 'now' }) }],
])('%s', async (_, path, body) => {
  const model = newModel();
  const node = await network().add(model, TWO_CALLS);
  for (const stream of [false, true]) {
    const { status, headers, text } = await sendRaw(customer, {
      path,
      body: JSON.stringify({ model, ...body, stream }),
    });
    expect(status).toBe(200);
    expect(headers.get('x-tollgate-ignored')).toBeNull();
    const ids = [...text.matchAll(/"(?:id|call_id)":"([ab])"/g)].map(([, id]) => id);
    expect(new Set(ids)).toEqual(new Set(['a']));
  }
  expect(node.received.map(({ request }) => request.parallel_tool_calls)).toEqual([false, false]);
});

it('several at once are allowed where nothing is said', async () => {
  const model = newModel();
  const node = await network().add(model, TWO_CALLS);
  const { status, text } = await sendRaw(customer, {
    path: '/v1/chat/completions',
    body: JSON.stringify({ model, ...chat, parallel_tool_calls: true }),
  });
  expect(status).toBe(200);
  expect(text).toContain('"b"');
  expect(node.received[0]!.request).not.toHaveProperty('parallel_tool_calls');
});
