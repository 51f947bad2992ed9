/** Reasoning is steered alike in every dialect, under every provider's names, by what the model's profile allows. */
import { describe, expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { create, hasEnded, line, results, sellBatches, until } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { errorFaults, type RawRequest, sendRaw } from '../raw-request.ts';
import { Customer, env, newModel, PRICE } from './client.ts';

await sellBatches(1);
const batchModel = newModel();
const network = freshNetwork();
const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 100_000 });

const THINKING = {
  always: { mode: 'always' },
  never: { mode: 'never' },
  switchable: { mode: 'switchable', byDefault: false, variable: 'enable_thinking' },
};
type Mode = keyof typeof THINKING;
const models: Record<Mode, string[]> = { always: [], never: [], switchable: [] };
/** Profiles are written before the first request, because the gateway caches the catalogue. */
for (const [mode, count] of [
  ['always', 60],
  ['never', 60],
  ['switchable', 70],
] as const) {
  models[mode] = Array.from({ length: count }, () => newModel());
  await env.DB.batch(
    models[mode].map((id) =>
      env.DB.prepare("update model set profile = json_set(profile, '$.thinking', json(?)) where id = ?").bind(
        JSON.stringify(THINKING[mode]),
        id,
      ),
    ),
  );
}
await env.DB.prepare(
  'update model set profile = json_set(profile, \'$.thinking\', json(\'{"mode":"always"}\')) where id = ?',
)
  .bind(batchModel)
  .run();

const messages = [{ role: 'user', content: 'Hello' }];
const DIALECTS = {
  chat: (max: number) => ({ path: '/v1/chat/completions', body: { messages, max_tokens: max } }),
  responses: (max: number) => ({ path: '/v1/responses', body: { input: 'Hello', max_output_tokens: max } }),
  messages: (max: number) => ({ path: '/v1/messages', body: { messages, max_tokens: max } }),
};
const names = Object.keys(DIALECTS) as (keyof typeof DIALECTS)[];

async function ask(
  mode: Mode,
  { path, body }: { path: string; body: object },
  spec: Parameters<typeof answer>[0] = { content: ['Yes'] },
) {
  const model = models[mode].shift()!;
  const node = await network().add(model, () => stream(answer(spec)));
  const raw: RawRequest = { path, body: JSON.stringify({ model, ...body }) };
  const response = await sendRaw(customer, raw);
  const ignored = response.headers.get('x-tollgate-ignored');
  return { response, ignored, request: node.received[0]?.request };
}

/** Each spelling of a wish, with the field that a refusal names. */
const SPELLINGS: Record<'on' | 'off' | 'low' | 'budget' | 'dollars', [string, object][]> = {
  on: [
    ['thinking.type', { thinking: { type: 'enabled' } }],
    ['reasoning.enabled', { reasoning: { enabled: true } }],
    ['enable_thinking', { enable_thinking: true }],
    ['chat_template_kwargs.thinking', { chat_template_kwargs: { thinking: true } }],
    ['chat_template_kwargs.enable_thinking', { chat_template_kwargs: { enable_thinking: true } }],
  ],
  off: [
    ['thinking.type', { thinking: { type: 'disabled' } }],
    ['reasoning.enabled', { reasoning: { enabled: false } }],
    ['reasoning.effort', { reasoning: { effort: 'none' } }],
    ['reasoning_effort', { reasoning_effort: 'none' }],
    ['output_config.effort', { output_config: { effort: 'none' } }],
    ['enable_thinking', { enable_thinking: false }],
    ['thinking_budget', { thinking_budget: 0 }],
  ],
  low: [
    ['reasoning_effort', { reasoning_effort: 'low' }],
    ['reasoning.effort', { reasoning: { effort: 'low' } }],
    ['output_config.effort', { output_config: { effort: 'low' } }],
  ],
  budget: [
    ['thinking.budget_tokens', { thinking: { budget_tokens: 1_234 } }],
    ['reasoning.max_tokens', { reasoning: { max_tokens: 1_234 } }],
    ['thinking_budget', { thinking_budget: 1_234 }],
    ['thinking_token_budget', { thinking_token_budget: 1_234 }],
  ],
  dollars: [
    ['reasoning.max_usd', { reasoning: { max_usd: '0.0002' } }],
    ['reasoning.max_usd', { reasoning: { max_usd: 0.0002 } }],
  ],
};

describe.each(names)('in %s', (dialect) => {
  const form = (more: object) => {
    const { path, body } = DIALECTS[dialect](5_000);
    return { path, body: { ...body, ...more } };
  };

  it.each(SPELLINGS.on)('%s switches thinking on', async (_, more) => {
    const { response, request, ignored } = await ask('switchable', form(more));
    expect([response.status, ignored]).toEqual([200, null]);
    expect(request).toMatchObject({ template_variables: { enable_thinking: true } });
  });

  it.each(SPELLINGS.off)('%s switches thinking off', async (_, more) => {
    const { response, request, ignored } = await ask('switchable', form(more));
    expect([response.status, ignored]).toEqual([200, null]);
    expect(request).toMatchObject({ template_variables: { enable_thinking: false } });
    expect(request?.thinking_budget).toBeUndefined();
  });

  it.each(SPELLINGS.off)('%s is refused where thinking cannot be switched off', async (field, more) => {
    const { response, request } = await ask('always', form(more));
    expect(response.status).toBe(400);
    expect(JSON.parse(response.text).error).toMatchObject({
      param: field,
      message: expect.stringContaining('always thinks'),
    });
    expect(request).toBeUndefined();
  });

  it.each([...SPELLINGS.on, ...SPELLINGS.budget, ...SPELLINGS.dollars])(
    '%s is refused by a model that cannot think',
    async (field, more) => {
      const { response, request } = await ask('never', form(more));
      expect(response.status).toBe(400);
      expect(JSON.parse(response.text).error).toMatchObject({
        param: field,
        message: expect.stringContaining('does not think'),
      });
      expect(request).toBeUndefined();
    },
  );

  it.each(SPELLINGS.low)('%s is a share of the answer where a model knows no efforts', async (_, more) => {
    const { response, request, ignored } = await ask('always', form(more));
    expect([response.status, ignored]).toEqual([200, null]);
    expect(request).toMatchObject({ thinking_budget: 1_000, thinking_budget_hint: true });
  });

  it.each(SPELLINGS.low)('%s is ignored, and named, by a model that cannot think', async (field, more) => {
    const { response, ignored, request } = await ask('never', form(more));
    expect([response.status, ignored]).toEqual([200, field]);
    expect(JSON.parse(response.text).tollgate).toEqual({ ignored: [field] });
    expect(request).not.toHaveProperty('thinking_budget');
  });

  it.each(SPELLINGS.budget)('%s bounds the thought', async (_, more) => {
    const { request, ignored } = await ask('always', form(more));
    expect([request?.thinking_budget, ignored]).toEqual([1_234, null]);
    expect(request).not.toHaveProperty('thinking_budget_hint');
  });

  it.each(SPELLINGS.dollars)('%s becomes the tokens that it pays for', async (_, more) => {
    const { request } = await ask('always', form(more));
    expect(request?.thinking_budget).toBe(Math.floor(200_000 / PRICE.output));
  });

  it('`thinking: adaptive`, which clients send unasked, breaks no model', async () => {
    const more = { thinking: { type: 'adaptive' }, output_config: { effort: 'high' } };
    expect(await ask('never', form(more))).toMatchObject({
      response: { status: 200 },
      ignored: 'thinking.type, output_config.effort',
    });
    expect(await ask('always', form(more))).toMatchObject({ response: { status: 200 }, ignored: null });
  });

  it('a thought that was excluded is billed, and not sent', async () => {
    const spec = { reasoning: ['A secret', ' thought.'], content: ['Yes'] };
    for (const streamed of [false, true]) {
      const { response } = await ask(
        'always',
        form({ reasoning: { exclude: true }, stream: streamed }),
        spec,
      );
      expect(response.status).toBe(200);
      expect(response.text).toContain('Yes');
      expect(response.text).not.toMatch(/secret|thought/);
      expect(response.text).toMatch(/"(reasoning|thinking)_tokens":2/);
    }
  });
});

it.each<[object, string, string?]>([
  [{ thinking: 'on' }, 'thinking'],
  [{ thinking: { type: 'maybe' } }, 'thinking.type'],
  [{ thinking: { type: 'enabled', budget_tokens: -1 } }, 'thinking.budget_tokens'],
  [{ thinking: { type: 'enabled', budget_tokens: 1.5 } }, 'thinking.budget_tokens'],
  [{ thinking: { type: 'enabled', budget_tokens: 5_000 } }, 'thinking.budget_tokens'],
  [{ reasoning: { max_usd: '1e3' } }, 'reasoning.max_usd'],
  [{ reasoning: { max_usd: '-1' } }, 'reasoning.max_usd'],
  [{ reasoning: { max_usd: '0.0000000001' } }, 'reasoning.max_usd'],
  [{ reasoning: { max_usd: '0.000000001' } }, 'reasoning.max_usd'],
  // Not as 0, which asks for no thought at all.
  [{ reasoning: { max_usd: 1e-10 } }, 'reasoning.max_usd', 'must be US dollars'],
  [{ reasoning: { max_usd: -1e-10 } }, 'reasoning.max_usd', 'must be US dollars'],
  [{ reasoning: { max_usd: '.05' } }, 'reasoning.max_usd', 'must be US dollars'],
  [{ reasoning_effort: 'enormous' }, 'reasoning_effort'],
  [{ reasoning_effort: 5 }, 'reasoning_effort'],
  [{ reasoning_effort: 'low', reasoning: { effort: 'high' } }, 'reasoning.effort'],
  [{ thinking: { type: 'enabled' }, reasoning_effort: 'none' }, 'reasoning_effort'],
  [{ thinking: { type: 'enabled', budget_tokens: 0 } }, 'thinking.budget_tokens'],
  [{ thinking_budget: 10, reasoning: { max_tokens: 11 } }, 'thinking_budget'],
])('%j is refused, and nothing is sent to a node', async (more, param, message = '') => {
  const model = models.always[0]!;
  const body = JSON.stringify({ model, messages, max_tokens: 5_000, ...more });
  const response = await sendRaw(customer, { body });
  expect([response.status, response.error?.param]).toEqual([400, param]);
  expect(response.error?.message).toContain(message);
  expect(errorFaults(response)).toEqual([]);
  expect(network().calls).toEqual([]);
});

it('a text completion refuses what it cannot keep, and names what it ignores', async () => {
  const form = (more: object) => ({
    path: '/v1/completions',
    body: { prompt: 'Hello', max_tokens: 5_000, ...more },
  });
  const refused = await ask('always', form({ reasoning: { max_tokens: 100 } }));
  expect(refused.response.error).toMatchObject({ param: 'reasoning.max_tokens' });
  const { ignored, request } = await ask('switchable', form({ reasoning_effort: 'low' }));
  expect(ignored).toBe('reasoning_effort');
  expect(request).not.toHaveProperty('template_variables');
});

it('a line of a batch is steered, at the batch’s own price', async () => {
  const node = await network().add(batchModel, () => stream(answer({ prompt: 10, content: ['Hi'] })));
  const { id } = await create(customer, [
    line('steered', { model: batchModel, messages, max_tokens: 5_000, reasoning: { max_usd: '0.0002' } }),
    line('refused', { model: batchModel, messages, thinking: { type: 'disabled' } }),
  ]);
  const batch = await until(customer, id, hasEnded);
  expect(batch.request_counts).toMatchObject({ completed: 1, failed: 1 });
  expect(node.received[0]?.request.thinking_budget).toBe(Math.floor(200_000 / (PRICE.output / 2)));
  const [refused] = await results(customer, batch.error_file_id);
  expect(refused).toMatchObject({
    response: { status_code: 400, body: { error: { param: 'thinking.type' } } },
  });
});
