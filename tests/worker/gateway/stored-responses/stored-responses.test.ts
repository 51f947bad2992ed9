/** Stored responses: the next turn names the last one, only its own caller can, and nothing is kept that was not wanted. */
import { runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { database } from '../../../../worker/db/client.ts';
import { createKey, findKey, rotateKey } from '../../../../worker/db/keys.ts';
import { config, type Env } from '../../../../worker/env.ts';
import { pepperKey } from '../../../../worker/tokens/pepper.ts';
import { answer, freshNetwork, type Step, stream, usageOf } from '../../fake-node.ts';
import { addOwner } from '../../identity/add-owner.ts';
import { Customer, env, newModel } from '../client.ts';
import { respond, type Sent, send } from './send.ts';

const network = freshNetwork();

/** The final object of a stream. */
function finalOf({ text }: Sent) {
  const last = text.trim().split('\n\n').at(-1)!;
  return JSON.parse(last.slice(last.indexOf('data: ') + 6)).response;
}

const thinking = () => stream(answer({ reasoning: ['Hm'], content: ['Four', '.'] }));

async function seller(script = thinking) {
  const model = newModel();
  const node = await network().add(model, script);
  const customer = await Customer.withCredit();
  return { model, node, customer };
}

const keyOfAccount = async (accountId: string) =>
  createKey(database(env), await pepperKey(config(env)), { accountId, name: 'other', nowMs: Date.now() });

describe('previous_response_id', () => {
  it.each([[false], [true]])(
    'brings the whole chain, without its instructions (stream: %s)',
    async (streams) => {
      const { model, node, customer } = await seller();
      const ask = async (body: object) => {
        const sent = await respond(customer, { model, stream: streams, ...body });
        expect(sent.status).toBe(200);
        return streams ? finalOf(sent) : sent.body;
      };
      const first = await ask({ input: 'Two and two?', instructions: 'Be brief.' });
      expect(first).toMatchObject({ store: true, previous_response_id: null });
      const second = await ask({ input: 'Sure?', previous_response_id: first.id });
      expect(second).toMatchObject({ store: true, previous_response_id: first.id, instructions: null });
      await ask({ input: 'Really?', previous_response_id: second.id, store: false });
      const plain = node.received.map(({ request }) =>
        request.messages!.map(({ role, content }) => [role, content]),
      );
      expect(plain).toEqual([
        [
          ['system', 'Be brief.'],
          ['user', 'Two and two?'],
        ],
        [
          ['user', 'Two and two?'],
          ['assistant', 'Four.'],
          ['user', 'Sure?'],
        ],
        [
          ['user', 'Two and two?'],
          ['assistant', 'Four.'],
          ['user', 'Sure?'],
          ['assistant', 'Four.'],
          ['user', 'Really?'],
        ],
      ]);
    },
  );

  it('brings calls and their results, and lets several turns continue one response', async () => {
    const call = {
      index: 0,
      id: 'call_1',
      type: 'function' as const,
      function: { name: 'add', arguments: '{"a":1}' },
    };
    const steps: Step[] = [
      { choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }], usage: usageOf(10, 1) },
      { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }], usage: usageOf(10, 1) },
      'data: [DONE]\n\n',
    ];
    const { model, node, customer } = await seller(() => stream(steps));
    const tools = [{ type: 'function', name: 'add', parameters: { type: 'object' } }];
    const { body: first } = await respond(customer, { model, input: 'Add', tools });
    node.script = thinking;
    const output = { type: 'function_call_output', call_id: 'call_1', output: '2' };
    for (let turn = 0; turn < 2; turn++) {
      const { status } = await respond(customer, {
        model,
        previous_response_id: first.id,
        input: [output],
        tools,
      });
      expect(status).toBe(200);
    }
    const messages = node.received.at(-1)!.request.messages!;
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool']);
    expect(messages[1]).toMatchObject({ tool_calls: [{ id: 'call_1', function: { name: 'add' } }] });
  });

  it('is stored after an answer that its limit cut off, and not after one that broke off', async () => {
    const { model, node, customer } = await seller(() =>
      stream(answer({ content: ['Fo'], finish: 'length' })),
    );
    const cut = await respond(customer, { model, input: 'Count', stream: true });
    expect(finalOf(cut)).toMatchObject({ status: 'incomplete', store: true });
    const next = await respond(customer, { model, input: 'Go on', previous_response_id: finalOf(cut).id });
    expect(next.status).toBe(200);

    node.script = () =>
      stream([...answer({ content: ['Fo'] })].slice(0, 1).concat([new Error('cut')] as never));
    const broken = await respond(customer, { model, input: 'Count', stream: true });
    const id = /"id":"(resp_\w+)"/.exec(broken.text)![1];
    const gone = await respond(customer, { model, input: 'Go on', previous_response_id: id });
    expect(gone).toMatchObject({ status: 400, body: { error: { code: 'previous_response_not_found' } } });
  });

  it('names the client’s own item when one is invalid', async () => {
    const { model, customer } = await seller();
    const { body: first } = await respond(customer, { model, input: 'Two and two?' });
    const input = [
      { role: 'user', content: 'Sure?' },
      { role: 'nobody', content: 'x' },
    ];
    const { body } = await respond(customer, { model, input, previous_response_id: first.id });
    expect(body.error.param).toBe('input[1].role');
    expect(body.error.message).toContain('input[1].role');
  });
});

describe('a reference to an item', () => {
  it('brings the item, whichever response it belongs to, as the AI SDK sends it', async () => {
    const { model, node, customer } = await seller();
    const { body: first } = await respond(customer, { model, input: 'Two and two?' });
    const references = first.output.map(({ id }: { id: string }) => ({ type: 'item_reference', id }));
    const input = [
      { role: 'user', content: 'Two and two?' },
      ...references,
      { role: 'user', content: 'Sure?' },
    ];
    const second = await respond(customer, { model, input });
    expect(second.status).toBe(200);
    const more = second.body.output.map(({ id }: { id: string }) => ({ id }));
    const third = await respond(customer, {
      model,
      input: [...input, ...more, { role: 'user', content: 'Ok' }],
    });
    expect(third.status).toBe(200);
    expect(node.received.at(-1)!.request.messages!.map(({ role, content }) => [role, content])).toEqual([
      ['user', 'Two and two?'],
      ['assistant', 'Four.'],
      ['user', 'Sure?'],
      ['assistant', 'Four.'],
      ['user', 'Ok'],
    ]);
  });

  it('is refused in OpenAI’s words where the item is not stored', async () => {
    const { model, customer } = await seller();
    const { body: first } = await respond(customer, { model, input: 'Hi', store: false });
    expect(first.store).toBe(false);
    const reference = { type: 'item_reference', id: first.output[0].id };
    const { status, body } = await respond(customer, {
      model,
      input: [reference, { role: 'user', content: 'x' }],
    });
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ param: 'input', type: 'invalid_request_error' });
    expect(body.error.message).toContain(`Item with id '${reference.id}' not found.`);
  });
});

describe('a response of somebody else', () => {
  it('is not found: another account’s, another key’s, and one that was never made', async () => {
    const { model, node, customer } = await seller();
    const { body: first } = await respond(customer, { model, input: 'Two and two?' });
    const sibling = await keyOfAccount(customer.accountId);
    const stranger = await Customer.withCredit();
    for (const caller of [sibling, stranger]) {
      const turn = await respond(caller, { model, input: 'x', previous_response_id: first.id });
      expect(turn.status).toBe(400);
      expect(turn.body.error).toEqual({
        message: `Previous response with id '${first.id}' not found.`,
        type: 'invalid_request_error',
        param: 'previous_response_id',
        code: 'previous_response_not_found',
      });
    }
    const path = `/v1/responses/${first.id}`;
    const others = [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/input_items'],
      ['POST', '/cancel'],
    ] as const;
    const statuses = await Promise.all(others.map(([method, tail]) => send(stranger, method, path + tail)));
    expect(statuses.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    const unknown = await respond(customer, { model, input: 'x', previous_response_id: 'resp_1' });
    expect(unknown.body.error.code).toBe('previous_response_not_found');
    const malformed = await respond(customer, { model, input: 'x', previous_response_id: 'chatcmpl-1' });
    expect(malformed.body.error).toMatchObject({ code: 'invalid_value', param: 'previous_response_id' });
    expect((await send(customer, 'GET', `/v1/responses/${first.id}`)).status).toBe(200);
    expect(node.received).toHaveLength(1);
  });

  it('is the same caller’s after its key was rotated, and by a client token', async () => {
    const { model, customer } = await seller();
    const { body: first } = await respond(customer, { model, input: 'Two and two?' });
    const token = await send(customer, 'POST', '/v1/tokens', { cap: '1' });
    expect(token.status).toBe(200);
    const byToken = await respond(
      { key: token.body.token },
      { model, input: 'x', previous_response_id: first.id },
    );
    expect(byToken.status).toBe(200);
    const row = (await findKey(database(env), { accountId: customer.accountId, keyId: customer.keyId }))!;
    const rotation = { row, overlapMs: 60_000, actor: await addOwner(customer.accountId), nowMs: Date.now() };
    const { key: successor } = (await rotateKey(database(env), await pepperKey(config(env)), rotation))!;
    const next = await respond(
      { key: successor },
      { model, input: 'y', previous_response_id: byToken.body.id },
    );
    expect(next.status).toBe(200);
  });
});

describe('what is stored', () => {
  it('is nothing with `store: false`, and nobody can read it without the id', async () => {
    const { model, customer } = await seller();
    const rows = () =>
      runInDurableObject(env.RESPONSES.getByName(customer.accountId) as never, (_, { storage }) => ({
        responses: storage.sql.exec('SELECT * FROM response').toArray(),
        sections: storage.sql.exec('SELECT * FROM section').toArray(),
      }));
    const unstored = await respond(customer, { model, input: 'A secret', store: false });
    expect(unstored.body.store).toBe(false);
    expect((await send(customer, 'GET', `/v1/responses/${unstored.body.id}`)).status).toBe(404);
    expect((await rows()).responses).toEqual([]);
    const stored = await respond(customer, { model, input: 'A secret' });
    const { responses, sections } = await rows();
    expect(responses).toHaveLength(1);
    expect(JSON.stringify(responses)).not.toContain(stored.body.id.slice(5, 31));
    for (const { bytes } of sections)
      expect(new TextDecoder().decode(bytes as ArrayBuffer)).not.toContain('secret');
  });

  it('costs one call behind the answer, and one for what a request refers to', async () => {
    const { model, customer } = await seller();
    const calls: string[] = [];
    const counting: Env = {
      ...env,
      RESPONSES: {
        getByName: (name: string) =>
          new Proxy(env.RESPONSES.getByName(name), {
            get:
              (target, method) =>
              (...args: unknown[]) => {
                calls.push(String(method));
                return (target as never as Record<string, (...args: unknown[]) => unknown>)[String(method)]!(
                  ...args,
                );
              },
          }),
      } as never,
    };
    const { body: first } = await respond(customer, { model, input: 'a' }, { using: counting });
    expect(calls).toEqual(['keep']);
    await respond(customer, { model, input: 'b', previous_response_id: first.id }, { using: counting });
    expect(calls).toEqual(['keep', 'load', 'keep']);
    await respond(customer, { model, input: 'c', store: false }, { using: counting });
    await customer.ask({ model }, { using: counting });
    expect(calls).toHaveLength(3);
  });

  it('fails no answer where the store is out of reach; the next ones say that they are not stored', async () => {
    const { model, customer } = await seller();
    const broken = {
      ...env,
      RESPONSES: { getByName: () => ({ keep: async () => Promise.reject(new Error('down')) }) },
    };
    const first = await respond(customer, { model, input: 'a', store: true }, { using: broken as never });
    expect(first.status).toBe(200);
    const second = await respond(customer, { model, input: 'b', store: true }, { using: broken as never });
    expect(second).toMatchObject({ status: 200, body: { store: false, tollgate: { ignored: ['store'] } } });
  });
});
