/** Nothing is dropped in silence: fields without effect are named in the answer and in its head, in every dialect. */
import { expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { create, hasEnded, line, results, sellBatches, until } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { Customer, newModel } from './client.ts';

await sellBatches(1);
const batchModel = newModel();
const network = freshNetwork();
const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 10_000 });

const messages = [{ role: 'user', content: 'Hello' }];
const DIALECTS: Record<string, { path: string; body: object }> = {
  chat: { path: '/v1/chat/completions', body: { messages } },
  completions: { path: '/v1/completions', body: { prompt: 'Hello' } },
  responses: { path: '/v1/responses', body: { input: 'Hello' } },
  messages: { path: '/v1/messages', body: { messages, max_tokens: 100 } },
};
const forms = Object.entries(DIALECTS).flatMap(([name, dialect]) =>
  [false, true].map((streamed) => [name, streamed ? 'streamed' : 'whole', { ...dialect, streamed }] as const),
);

async function ask({ path, body, streamed }: { path: string; body: object; streamed: boolean }) {
  const model = newModel();
  await network().add(model, () => stream(answer({ content: ['Yes', '.'] })));
  const response = await sendRaw(customer, {
    path,
    body: JSON.stringify({ model, ...body, stream: streamed }),
  });
  const events = streamed
    ? response.text
        .split('\n')
        .flatMap((row) => (row.startsWith('data: {') ? [JSON.parse(row.slice(6))] : []))
    : [JSON.parse(response.text)];
  const ignored = events.flatMap((event) => {
    const { tollgate } = event.response ?? event;
    return tollgate?.ignored ? [tollgate.ignored] : [];
  });
  return { status: response.status, header: response.headers.get('x-tollgate-ignored'), ignored };
}

it.each(forms)(
  'a %s answer, %s, names fields without effect, once',
  async (_, __, { path, body, streamed }) => {
    const given = { ...body, web_search_options: {}, unheard_of: 1, user: 'u' };
    const { status, header, ignored } = await ask({ path, body: given, streamed });
    expect(status).toBe(200);
    expect(ignored).toEqual([expect.arrayContaining(['web_search_options', 'unheard_of', 'user'])]);
    expect(header?.split(', ')).toEqual(ignored[0]);
  },
);

it.each(forms)('a %s answer, %s, has no word of it where all fields count', async (_, __, form) => {
  expect(await ask(form)).toMatchObject({ status: 200, header: null, ignored: [] });
});

it('a name cannot add a header', async () => {
  const body = { messages, 'a\r\nset-cookie: b=c': 1, 'd, e': 2 };
  const { header, ignored } = await ask({ ...DIALECTS.chat!, body, streamed: false });
  expect(header).toBe('a??set-cookie:?b=c, d??e');
  expect(ignored).toEqual([['a??set-cookie:?b=c', 'd??e']]);
});

it('never shows a value', async () => {
  const body = {
    messages: [{ ...messages[0], note: 'secret-1' }],
    user: 'secret-2',
    metadata: { a: 'secret-3' },
  };
  const { header, ignored } = await ask({ ...DIALECTS.chat!, body, streamed: false });
  expect(header).toBe('messages[].note, user, metadata');
  expect(JSON.stringify(ignored)).not.toContain('secret');
});

it('a line of a batch names them in its answer', async () => {
  await network().add(batchModel, () => stream(answer({ prompt: 10, content: ['Hi'] })));
  const { id } = await create(customer, [
    line('a', { model: batchModel, messages, prediction: { type: 'content' } }),
  ]);
  const batch = await until(customer, id, hasEnded);
  const [result] = await results(customer, batch.output_file_id);
  expect(result).toMatchObject({ response: { body: { tollgate: { ignored: ['prediction'] } } } });
});

const SAMPLERS = {
  top_k: 40,
  min_p: 0.05,
  repetition_penalty: 1.1,
  logit_bias: { 50256: -100, 7: 1.5 },
  min_tokens: 3,
};

it.each([
  ['chat', SAMPLERS],
  ['completions', SAMPLERS],
  ['responses', SAMPLERS],
  ['messages', SAMPLERS],
])('the engine’s own samplers reach the node: %s', async (name, samplers) => {
  const dialect = DIALECTS[name]!;
  const answered = await ask({ ...dialect, body: { ...dialect.body, ...samplers }, streamed: false });
  expect(answered).toMatchObject({ status: 200, header: null });
  expect(network().nodes.flatMap(({ received }) => received)[0]?.request).toMatchObject(samplers);
});

it.each([0, -1])('a top_k of %d asks for the whole vocabulary', async (top_k) => {
  await ask({ ...DIALECTS.chat!, body: { messages, top_k }, streamed: false });
  const { request } = network().nodes.flatMap(({ received }) => received)[0]!;
  expect(request.top_k).toBeUndefined();
});

it.each([
  ['top_k', 1.5],
  ['top_k', -2],
  ['min_p', 1.1],
  ['repetition_penalty', 0],
  ['repetition_penalty', 2.1],
  ['min_tokens', -1],
  ['min_tokens', 1.5],
  // The model's default is 8,192.
  ['min_tokens', 8_193],
])('a %s of %d is refused', async (name, value) => {
  const body = JSON.stringify({ model: newModel(), messages, [name]: value });
  const response = await sendRaw(customer, { body });
  expect([response.status, response.error?.param]).toEqual([400, name]);
});

it.each([
  [{ logit_bias: { 7: 101 } }, 'logit_bias.7'],
  [{ logit_bias: { yes: 1 } }, 'logit_bias.yes'],
  [{ logit_bias: Object.fromEntries(Array.from({ length: 1_025 }, (_, id) => [id, 1])) }, 'logit_bias'],
  [{ min_tokens: 11, max_tokens: 10 }, 'min_tokens'],
  [{ min_tokens: 5, response_format: { type: 'json_object' } }, 'min_tokens'],
])('refused, naming the field: %j', async (fields, param) => {
  const response = await sendRaw(customer, {
    body: JSON.stringify({ model: newModel(), messages, ...fields }),
  });
  expect([response.status, response.error?.param]).toEqual([400, param]);
});

it.each<[object, string[]]>([
  [{ service_tier: 'auto', store: false, modalities: ['text'], verbosity: 'medium', logit_bias: {} }, []],
  [{ service_tier: 'flex' }, ['service_tier']],
  [{ service_tier: 'priority' }, ['service_tier']],
  [{ safety_identifier: 'a', prompt_cache_key: 'b' }, ['safety_identifier']],
  [{ store: true, metadata: { a: 'b' }, verbosity: 'low' }, ['store', 'metadata', 'verbosity']],
  [{ prediction: { type: 'content', content: 'x' } }, ['prediction']],
  [{ modalities: ['text', 'audio'], audio: { voice: 'a', format: 'wav' } }, ['modalities', 'audio']],
  [{ web_search_options: {} }, ['web_search_options']],
  [{ web_search_options: null, min_tokens: null, logit_bias: null }, []],
])('chat with %j names %j', async (fields, names) => {
  const { status, ignored } = await ask({
    ...DIALECTS.chat!,
    body: { messages, ...fields },
    streamed: false,
  });
  expect([status, ignored.flat()]).toEqual([200, names]);
});
