/** A batch line is read by the same function as a request, so what chat refuses a line refuses in the same words. */
import { expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from '../gateway/client.ts';
import { create, hasEnded, line, results, sellBatches, until } from './fixtures.ts';

await sellBatches(2);
const model = newModel();
await env.DB.prepare('update model set reasoning = 1 where id = ?').bind(model).run();
const network = freshNetwork();

it('refuses a line as chat refuses the same body', async () => {
  const node = await network().add(model, () => stream(answer({ prompt: 10, content: ['Hi'] })));
  const customer = await Customer.withCredit(usd(1));
  const messages = [{ role: 'user', content: 'Hello' }];
  const bodies: Record<string, object> = {
    'logprobs of a reasoning model': { model, messages, logprobs: true },
    'top_logprobs of a reasoning model': { model, messages, logprobs: true, top_logprobs: 2 },
    'a model that is not sold': { model: 'nobody', messages },
    'messages that are no list': { model, messages: 'none' },
    'a role that is none': { model, messages: [{ role: 'poet', content: 'x' }] },
    'too many choices': { model, messages, n: 1_000 },
  };
  const { id } = await create(
    customer,
    Object.entries(bodies).map(([name, body]) => line(name, body)),
  );
  const batch = await until(customer, id, hasEnded);
  expect(batch.request_counts).toMatchObject({ completed: 0, failed: Object.keys(bodies).length });
  const refused = await results(customer, batch.error_file_id);
  for (const [name, body] of Object.entries(bodies)) {
    const chatRefusal = await customer.ask(body);
    const { response } = refused.find(({ custom_id }) => custom_id === name)!;
    const { error } = JSON.parse(chatRefusal.text) as { error: object };
    expect(response, name).toMatchObject({ status_code: chatRefusal.status, body: { error } });
    expect(chatRefusal.status, name).toBeGreaterThanOrEqual(400);
  }
  expect(node.received).toHaveLength(0);
});
