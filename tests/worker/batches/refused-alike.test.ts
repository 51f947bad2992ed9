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

const formatOf = (schema: object) => ({ type: 'json_schema', json_schema: { name: 'a', schema } });

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
    'a tool that is not there': {
      model,
      messages,
      tool_choice: { type: 'function', function: { name: 'overloaded' } },
    },
    'a schema that is too large': {
      model,
      messages,
      response_format: formatOf({ description: 'x'.repeat(2e5) }),
    },
    'a pattern of patterns': { model, messages, response_format: formatOf({ pattern: '((a{99}){99}){99}' }) },
    'a long stop sequence': { model, messages, stop: 'x'.repeat(1_000) },
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

it('refuses a line that is nested too deep, and runs the others', async () => {
  await network().add(model, () => stream(answer({ prompt: 10, content: ['Hi'] })));
  const customer = await Customer.withCredit(usd(1));
  const messages = [{ role: 'user', content: 'Hello' }];
  const deep = JSON.parse(`${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`) as object;
  const { id } = await create(customer, [
    line('deep', { model, messages, response_format: formatOf(deep) }),
    line('flat', { model, messages }),
  ]);
  const batch = await until(customer, id, hasEnded);
  expect(batch.request_counts).toMatchObject({ completed: 1, failed: 1 });
  const [refused] = await results(customer, batch.error_file_id);
  expect(refused).toMatchObject({ error: { code: 'invalid_json', param: 'body' } });
});
