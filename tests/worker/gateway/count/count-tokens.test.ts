/** Counting the tokens of a request before it is made: in each dialect, by a node, at no charge and within limits. */
import { describe, expect, it } from 'vitest';
import { answer, freshNetwork, nodeError, stream } from '../../fake-node.ts';
import { Customer, newModel, PRICE } from '../client.ts';
import { respond, send } from '../stored-responses/send.ts';
import { counting } from './counting-node.ts';

const network = freshNetwork();
const counts = (prompt_tokens: number) => () => Response.json({ prompt_tokens });

async function seller() {
  const model = newModel();
  const node = counting(await network().add(model, () => stream(answer({ prompt: 30, content: ['Four'] }))));
  return { model, node, customer: await Customer.withCredit() };
}

const messages = [{ role: 'user', content: 'Two and two?' }];
const ROUTES: [path: string, body: object, answer: object][] = [
  ['/v1/messages/count_tokens', { messages }, { input_tokens: 42 }],
  ['/anthropic/v1/messages/count_tokens', { messages }, { input_tokens: 42 }],
  [
    '/v1/responses/input_tokens',
    { input: 'Two and two?' },
    { object: 'response.input_tokens', input_tokens: 42 },
  ],
  [
    '/v1/chat/completions/input_tokens',
    { messages, stream: true },
    { object: 'chat.completion.input_tokens', input_tokens: 42 },
  ],
];

describe.each(ROUTES)('POST %s', (path, body, expected) => {
  it('answers what a node counts, with what is expected of it, and charges nothing', async () => {
    const { model, node, customer } = await seller();
    node.count = counts(42);
    const counted = await send(customer, 'POST', path, { model, ...body });
    expect(counted.status).toBe(200);
    expect(counted.body).toEqual({
      ...expected,
      tollgate: {
        model,
        expected_cached_tokens: 0,
        expected_cost: (42 * PRICE.miss) / 1e9,
        expected_cost_nano_usd: 42 * PRICE.miss,
        price_version: `${model}/1`,
      },
    });
    expect(counted.headers.get('x-ratelimit-limit-requests')).toBe('120');
    expect(node.counted[0]!.messages).toMatchObject(messages);
    expect(node.received).toEqual([]);
    const { entries } = await customer.wallet.ledger({ limit: 5 });
    expect(entries.map(({ kind }) => kind)).toEqual(['grant']);
  });

  it('refuses in its own envelope: without a key, with an unknown model, with a bad field, at no node', async () => {
    const { model, node, customer } = await seller();
    const isAnthropic = path.includes('messages');
    const shape = () => (isAnthropic ? { type: 'error' } : { error: { code: expect.any(String) } });
    const cases: [number, Promise<Awaited<ReturnType<typeof send>>>][] = [
      [401, send({ key: 'sk-none' }, 'POST', path, { model, ...body })],
      [404, send(customer, 'POST', path, { ...body, model: 'no-such-model' })],
      [400, send(customer, 'POST', path, { ...body, model, temperature: 'hot' })],
    ];
    node.count = () => nodeError(400, 'bad_request');
    cases.push([400, send(customer, 'POST', path, { model, ...body })]);
    for (const [status, refused] of cases) {
      expect((await refused).status).toBe(status);
      expect((await refused).body).toMatchObject(shape());
    }
    for (const broken of [
      () => nodeError(502, 'engine_failed'),
      () => new Response('not found', { status: 404 }),
    ]) {
      node.count = broken;
      const none = await send(customer, 'POST', path, { model, ...body });
      expect(none.status).toBe(503);
      expect(none.body).toMatchObject(shape());
    }
    // it was no fault of the node: it still serves
    node.count = counts(1);
    expect((await customer.ask({ model })).status).toBe(200);
  });
});

it('another node counts where the first cannot', async () => {
  const { model, node, customer } = await seller();
  const second = counting(await network().add(model, () => stream(answer({}))));
  node.count = () => nodeError(503, 'overloaded');
  second.count = counts(7);
  const { body } = await send(customer, 'POST', '/v1/responses/input_tokens', { model, input: 'x' });
  expect(body.input_tokens).toBe(7);
});

it('what the conversation’s last prompt had is expected to be cached, but never all of it', async () => {
  const { model, node, customer } = await seller();
  await customer.ask({ model, messages });
  const longer = [...messages, { role: 'assistant', content: 'Four' }, { role: 'user', content: 'Sure?' }];
  const count = (body: object) =>
    send(customer, 'POST', '/v1/chat/completions/input_tokens', { model, ...body });
  node.count = counts(50);
  expect((await count({ messages: longer })).body.tollgate).toMatchObject({
    expected_cached_tokens: 30,
    expected_cost_nano_usd: 30 * PRICE.hit + 20 * PRICE.miss,
  });
  node.count = counts(30);
  expect((await count({ messages })).body.tollgate.expected_cached_tokens).toBe(29);
  expect(
    (await count({ messages: [{ role: 'user', content: 'Other' }] })).body.tollgate.expected_cached_tokens,
  ).toBe(0);
});

it('a stored conversation is counted with its chain, and stores nothing', async () => {
  const { model, node, customer } = await seller();
  const { body: first } = await respond(customer, { model, input: 'Two and two?' });
  const path = '/v1/responses/input_tokens';
  await send(customer, 'POST', path, { model, input: 'Sure?', previous_response_id: first.id });
  await send(customer, 'POST', path, { model, previous_response_id: first.id });
  expect(node.counted.map(({ messages: all }) => all!.map(({ role }) => role))).toEqual([
    ['user', 'assistant', 'user'],
    // The user's next turn, still empty: the engine would take an answer at the end for a user's.
    ['user', 'assistant', 'user'],
  ]);
  const gone = await send(customer, 'POST', path, { model, input: 'x', previous_response_id: 'resp_1' });
  expect(gone.body.error.code).toBe('previous_response_not_found');
});
