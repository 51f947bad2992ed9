/** `/v1/models` names the fields that have an effect, and an answer those of its request that had none. */
import { createExecutionContext } from 'cloudflare:test';
import { expect, it } from 'vitest';
import app from '../../../worker/index.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { Customer, env, newModel } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit();
const messages = [{ role: 'user', content: 'Hello' }];
const yes = () => stream(answer({ content: ['Yes', '.'] }));

async function supported(model: string): Promise<string[]> {
  const response = await app.fetch(
    new Request(`https://tollgate.test/v1/models/${model}`),
    env,
    createExecutionContext(),
  );
  return ((await response.json()) as { supported_parameters: string[] }).supported_parameters;
}

async function ignored(body: object): Promise<string[]> {
  const { status, text } = await sendRaw(customer, {
    path: '/v1/chat/completions',
    body: JSON.stringify(body),
  });
  expect(status, text).toBe(200);
  return JSON.parse(text).tollgate?.ignored ?? [];
}

it('a seed counts only where every node repeats answers', async () => {
  const [one, other] = [newModel(), newModel()];
  for (const model of [one, other]) {
    const node = await network().add(model, yes);
    await node.report({ deterministic: true });
  }
  const plain = await network().add(other, yes);
  await plain.report({ deterministic: false });

  expect(await supported(one)).toContain('seed');
  expect(await ignored({ model: one, messages, seed: 7 })).toEqual([]);
  expect(await supported(other)).not.toContain('seed');
  expect(await ignored({ model: other, messages, seed: 7 })).toEqual(['seed']);
  expect(await ignored({ model: other, messages })).toEqual([]);
});

it('a model that no node serves has what its profile supports', async () => {
  const names = await supported(newModel());
  expect(names).toEqual(expect.arrayContaining(['max_tokens', 'response_format', 'structured_outputs']));
  expect(names).not.toContain('seed');
});

it('tools have no effect beside a JSON format, whose grammar leaves no room for a call', async () => {
  const model = newModel();
  await network().add(model, yes);
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const schema = { type: 'object', properties: {} };
  const response_format = { type: 'json_schema', json_schema: { name: 'a', schema } };
  expect(await ignored({ model, messages, tools, response_format })).toEqual(['tools']);
  expect(await ignored({ model, messages, tools, response_format: { type: 'text' } })).toEqual([]);
  expect(await ignored({ model, messages, response_format })).toEqual([]);
});
