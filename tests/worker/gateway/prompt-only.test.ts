/** `max_tokens: 0` reads the prompt into the cache, in every dialect: it is billed, and the answer is empty. */
import { expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { freshNetwork, stream } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { Customer, costOf, newModel } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 1_000 });
const messages = [{ role: 'user', content: 'Hello' }];
const read = { prompt_tokens: 40, cached_tokens: 8, completion_tokens: 0, reasoning_tokens: 0 };

const CASES: [string, string, object, object][] = [
  [
    'chat',
    '/v1/chat/completions',
    { messages, max_tokens: 0 },
    { choices: [{ message: { content: '' }, finish_reason: 'length' }] },
  ],
  [
    'chat',
    '/v1/chat/completions',
    { messages, max_completion_tokens: 0 },
    { choices: [{ finish_reason: 'length' }] },
  ],
  [
    'completions',
    '/v1/completions',
    { prompt: 'Hello', max_tokens: 0 },
    { choices: [{ text: '', finish_reason: 'length' }] },
  ],
  [
    'responses',
    '/v1/responses',
    { input: 'Hello', max_output_tokens: 0 },
    { output: [], status: 'incomplete' },
  ],
  ['messages', '/v1/messages', { messages, max_tokens: 0 }, { content: [], stop_reason: 'max_tokens' }],
];

it.each(CASES)('%s %s %j', async (_, path, body, expected) => {
  const model = newModel();
  const choices = [{ index: 0, delta: {}, finish_reason: 'length' as const }];
  const node = await network().add(model, () => stream([{ choices, usage: read }, 'data: [DONE]\n\n']));
  const before = (await customer.balance()).availableNanoUsd;
  const response = await sendRaw(customer, { path, body: JSON.stringify({ model, ...body }) });
  expect(response.status).toBe(200);
  expect(JSON.parse(response.text)).toMatchObject(expected);
  expect(node.received[0]!.request).toMatchObject({ max_tokens: 1, prompt_only: true });
  const spent = async () => before - (await customer.balance()).availableNanoUsd;
  await expect.poll(spent).toBe(costOf(40, 0, 8));
});

it('an engine’s token that an older agent counts is not billed', async () => {
  const model = newModel();
  const choices = [{ index: 0, delta: { content: 'x' }, finish_reason: 'length' as const }];
  const usage = { ...read, completion_tokens: 1 };
  await network().add(model, () => stream([{ choices, usage }, 'data: [DONE]\n\n']));
  const { record } = await customer.ask({ model, max_tokens: 0 });
  expect(record).toMatchObject({ chargeNanoUsd: costOf(40, 0, 8) });
});
