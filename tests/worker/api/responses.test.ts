/** The routes of stored responses: retrieve, delete, list what a response was made of; and what they refuse. */
import { describe, expect, it } from 'vitest';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, newModel } from '../gateway/client.ts';
import { respond, send } from '../gateway/stored-responses/send.ts';

const network = freshNetwork();

async function conversation() {
  const model = newModel();
  await network().add(model, () => stream(answer({ reasoning: ['Hm'], content: ['Four'] })));
  const customer = await Customer.withCredit();
  const input = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'input_text', text: 'Two and two?' }] },
  ];
  const { body: first } = await respond(customer, {
    model,
    input,
    instructions: 'Count.',
    metadata: { a: 'b' },
  });
  const { body: second } = await respond(customer, { model, input: 'Sure?', previous_response_id: first.id });
  return { customer, first, second };
}

describe('a stored response', () => {
  it('is retrieved as it was answered', async () => {
    const { customer, first, second } = await conversation();
    expect((await send(customer, 'GET', `/v1/responses/${first.id}`)).body).toEqual(first);
    expect((await send(customer, 'GET', `/v1/responses/${second.id}?stream=false`)).body).toEqual(second);
    const streamed = await send(customer, 'GET', `/v1/responses/${first.id}?stream=true`);
    expect(streamed).toMatchObject({ status: 400, body: { error: { param: 'stream' } } });
  });

  it('is deleted, and then found no more', async () => {
    const { customer, first, second } = await conversation();
    const path = `/v1/responses/${first.id}`;
    const deleted = await send(customer, 'DELETE', path);
    expect(deleted.body).toEqual({ id: first.id, object: 'response', deleted: true });
    for (const [method, tail] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/input_items'],
      ['POST', '/cancel'],
    ]) {
      const { status, body } = await send(customer, method!, path + tail);
      expect(status).toBe(404);
      expect(body.error).toMatchObject({ message: `Response with id '${first.id}' not found.` });
    }
    const next = await respond(customer, {
      model: second.model,
      input: 'x',
      previous_response_id: second.id,
    });
    expect(next.status).toBe(400);
    expect(next.body.error.message).toBe(`Previous response with id '${first.id}' not found.`);
    expect((await send(customer, 'GET', `/v1/responses/${second.id}`)).status).toBe(200);
  });

  it('cannot be cancelled', async () => {
    const { customer, first } = await conversation();
    const { status, body } = await send(customer, 'POST', `/v1/responses/${first.id}/cancel`);
    expect(status).toBe(400);
    expect(body.error.message).toBe('Cannot cancel a synchronous response.');
  });

  it('lists the items that it was made of, in pages', async () => {
    const { customer, first, second } = await conversation();
    const list = async (query: string) =>
      (await send(customer, 'GET', `/v1/responses/${second.id}/input_items${query}`)).body;
    const all = await list('?order=asc');
    expect(all).toMatchObject({ object: 'list', has_more: false, first_id: all.data[0].id });
    expect(all.data.map(({ type, role }: Record<string, string>) => role ?? type)).toEqual([
      ...['system', 'user', 'reasoning', 'assistant', 'user'],
    ]);
    expect(all.data[0]).toMatchObject({ content: [{ type: 'input_text', text: 'Be brief.' }] });
    expect(all.data.slice(2, 4)).toEqual(first.output);
    const newest = await list('?limit=2');
    expect(newest.data).toEqual([all.data[4], all.data[3]]);
    expect(newest).toMatchObject({ has_more: true, last_id: all.data[3].id });
    const rest = await list(`?limit=3&after=${newest.last_id}`);
    expect(rest.data).toEqual([all.data[2], all.data[1], all.data[0]]);
    expect(rest.has_more).toBe(false);
    expect((await list('?after=nothing')).error).toMatchObject({ param: 'after' });
    // each of them can be referred to
    const input = [
      ...all.data.map(({ id }: { id: string }) => ({ type: 'item_reference', id })),
      { role: 'user', content: 'x' },
    ];
    expect((await respond(customer, { model: second.model, input })).status).toBe(200);
  });

  it('gives items whose ids the client wrote ids of their own, so that pages end and each can be referred to', async () => {
    const { customer, second } = await conversation();
    const { model } = second;
    const texts = ['one', 'two', 'three'];
    const given = texts.map((content) => ({ type: 'message', id: 'msg_mine', role: 'user', content }));
    const made = await respond(customer, { model, input: given });
    const ids: string[] = [];
    for (let after = ''; ids.length < 10; ) {
      const path = `/v1/responses/${made.body.id}/input_items?order=asc&limit=1${after}`;
      const { data, has_more } = (await send(customer, 'GET', path)).body;
      ids.push(data[0].id);
      if (!has_more) break;
      after = `&after=${data[0].id}`;
    }
    expect(ids).toHaveLength(3);
    const input = [...ids.map((id) => ({ type: 'item_reference', id })), { role: 'user', content: 'x' }];
    expect((await respond(customer, { model, input })).status).toBe(200);
  });
});
