/** A model whose end is announced warns in every answer; one that has ended is an error that names its successor. */
import { createExecutionContext } from 'cloudflare:test';
import { expect, it } from 'vitest';
import app from '../../../worker/index.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from './client.ts';

const network = freshNetwork();
const [ending, replayed, ended, endedBefore, endedAlone, successor] = Array.from({ length: 6 }, newModel) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const END = Date.UTC(2099, 0, 1);
const PAST = Date.UTC(2026, 0, 1);
const setEnd = (id: string, endsAtMs: number, successorId: string | null) =>
  env.DB.prepare(
    'update model set ends_at_ms = ?, end_announced_at_ms = 86400000, successor_id = ? where id = ?',
  ).bind(endsAtMs, successorId, id);
// Before the first request, because the gateway caches the catalogue for ten seconds.
await env.DB.batch([
  setEnd(ending, END, successor),
  setEnd(replayed, END, successor),
  setEnd(ended, PAST, successor),
  setEnd(endedBefore, PAST - 1, ended),
  setEnd(endedAlone, PAST, null),
]);

interface Body {
  data: { id: string }[];
  tollgate: object;
  error: { code: string; message: string };
}

const get = async (path: string) => {
  const response = await app.fetch(
    new Request(`https://tollgate.test${path}`),
    env,
    createExecutionContext(),
  );
  return { status: response.status, body: (await response.json()) as Body };
};

it('announces the end in the head of each answer, streamed or whole', async () => {
  await network().add(ending, () => stream(answer({ prompt: 3, content: ['Yes.'] })));
  const customer = await Customer.withCredit();
  for (const streamed of [true, false]) {
    const { status, headers } = await customer.ask({ model: ending, stream: streamed });
    expect(status).toBe(200);
    expect(headers.get('deprecation')).toBe('@86400');
    expect(headers.get('sunset')).toBe(new Date(END).toUTCString());
    expect(headers.get('x-tollgate-successor')).toBe(successor);
  }
});

it('announces the end, and what was ignored, in the head of a replayed answer as in the first', async () => {
  await network().add(replayed, () => stream(answer({ prompt: 3, content: ['Yes.'] })));
  const customer = await Customer.withCredit();
  const named = ['deprecation', 'sunset', 'x-tollgate-successor', 'x-tollgate-ignored'];
  for (const streamed of [true, false]) {
    const ask = () =>
      customer.ask(
        { model: replayed, stream: streamed, prediction: { type: 'content' } },
        { headers: { 'idempotency-key': `${streamed}` } },
      );
    const first = await ask();
    const again = await ask();
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    const of = ({ headers }: typeof first) => named.map((name) => headers.get(name));
    expect(of(first)).not.toContain(null);
    expect(of(again)).toEqual(of(first));
  }
});

it('refuses an ended model, names its successor, asks no node and charges nothing', async () => {
  const node = await network().add(ended, answer({ prompt: 3, content: ['No.'] }));
  const customer = await Customer.withCredit();
  const before = await customer.balance();
  const { status, chunks } = await customer.ask({ model: ended.toUpperCase() });
  expect(status).toBe(404);
  expect(chunks[0]!.error).toMatchObject({ code: 'model_ended', param: 'model' });
  expect(chunks[0]!.error!.message).toContain(`Use ${successor} in its place.`);
  const alone = await customer.ask({ model: endedAlone });
  expect(alone.chunks[0]!.error!.message).toContain('/pricing');
  expect(node.received).toHaveLength(0);
  expect(await customer.balance()).toEqual(before);
});

it('lists no ended model, and says of an ending one when it ends and what follows it', async () => {
  const ids = (await get('/anthropic/v1/models')).body.data.map(({ id }) => id);
  expect(ids).toContain(ending);
  expect(ids).not.toContain(ended);
  expect((await get(`/v1/models/${ending}`)).body.tollgate).toMatchObject({
    ends_at: '2099-01-01T00:00:00.000Z',
    successor,
  });
  const gone = await get(`/v1/models/${ended}`);
  expect([gone.status, gone.body.error.code]).toEqual([404, 'model_ended']);
  expect((await get('/v1/models/nothing')).body.error.message).not.toContain(`${ended},`);
});

it.each(['/v1/models', '/anthropic/v1/models'])(
  'names at %s the successor of an ended model that is still for sale',
  async (path) => {
    const { status, body } = await get(`${path}/${endedBefore}`);
    expect(status).toBe(404);
    expect(body.error.message).toContain(`Use ${successor} in its place.`);
  },
);
