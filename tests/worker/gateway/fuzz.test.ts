/** Fuzzing: any invalid request gets a well-formed error that names the field, and nothing is billed or held for it. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { errorFaults, sendRaw } from '../raw-request.ts';
import { Customer, newModel } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit();
const before = await customer.balance();
const model = newModel();
const VALID = { model, messages: [{ role: 'user', content: 'Hello' }] };

/** Each run takes a few milliseconds. */
const RUNS = { numRuns: 300 };

async function expectNoEffect(): Promise<void> {
  expect(network().calls).toEqual([]);
  expect(await customer.balance()).toEqual(before);
}

const notString = fc.oneof(fc.integer(), fc.boolean(), fc.array(fc.string()), fc.object());
const notObject = fc.oneof(fc.integer(), fc.boolean(), fc.string());
const notBoolean = fc.oneof(fc.integer(), fc.string(), fc.array(fc.boolean()), fc.object());
const notNumber = fc.oneof(fc.string(), fc.boolean(), fc.array(fc.integer()), fc.object());
const outside = (min: number, max: number) =>
  fc.oneof(
    notNumber,
    // -0 is below 0 to fast-check, and 0 in JSON
    fc.double({ noNaN: true, noDefaultInfinity: true, max: min }).filter((below) => below < min),
    fc.double({ noNaN: true, noDefaultInfinity: true, min: max, minExcluded: true }),
  );
const notWithin = (min: number, max: number) => fc.oneof(outside(min, max), fc.constantFrom(min + 0.5));
const list = <T>(length: number, item: T): T[] => Array.from({ length }, () => item);
const tool = (name: unknown) => ({ type: 'function', function: { name } });

const notEffort = fc.oneof(notString, fc.constantFrom('', 'Low', 'a b', 'enormous', 'x'.repeat(17)));

/** Invalid values by field: the key is the field's name in the error, the value generates the change to a valid body. */
const INVALID: Record<string, fc.Arbitrary<object>> = {
  model: fc.oneof(notString, fc.constantFrom('', null, 'x'.repeat(257))).map((model) => ({ model })),
  messages: fc.oneof(notObject, fc.object(), fc.constantFrom([], null)).map((messages) => ({ messages })),
  'messages[0]': notObject.map((message) => ({ messages: [message] })),
  'messages[0].role': fc
    .oneof(notString, fc.constantFrom('', 'robot', '__proto__', 'constructor', null))
    .map((role) => ({ messages: [{ role, content: 'x' }] })),
  'messages[1].content': fc
    .oneof(fc.integer(), fc.boolean(), fc.constantFrom(null, {}, [1], [{ type: 'text' }]))
    .map((content) => ({ messages: [...VALID.messages, { role: 'user', content }] })),
  'messages[0].tool_call_id': notString.map((tool_call_id) => ({
    messages: [{ role: 'tool', content: 'x', tool_call_id }],
  })),
  stream: notBoolean.map((stream) => ({ stream })),
  stream_options: notObject.map((stream_options) => ({ stream_options })),
  'stream_options.include_usage': notBoolean.map((include_usage) => ({ stream_options: { include_usage } })),
  max_tokens: notWithin(0, 65_536).map((max_tokens) => ({ max_tokens })),
  max_completion_tokens: notWithin(0, 65_536).map((max_completion_tokens) => ({ max_completion_tokens })),
  temperature: outside(0, 2).map((temperature) => ({ temperature })),
  top_p: fc.oneof(outside(0, 1), fc.constant(0)).map((top_p) => ({ top_p })),
  presence_penalty: outside(-2, 2).map((presence_penalty) => ({ presence_penalty })),
  frequency_penalty: outside(-2, 2).map((frequency_penalty) => ({ frequency_penalty })),
  stop: fc
    .oneof(fc.integer(), fc.boolean(), fc.constantFrom(list(17, 'a'), [1], [null], {}))
    .map((stop) => ({ stop })),
  n: notWithin(1, 8).map((n) => ({ n })),
  seed: fc.oneof(notNumber, fc.constantFrom(1.5, 2 ** 53)).map((seed) => ({ seed })),
  logprobs: notBoolean.map((logprobs) => ({ logprobs })),
  top_logprobs: notWithin(0, 20).map((top_logprobs) => ({ logprobs: true, top_logprobs })),
  tools: fc.oneof(notObject, fc.constantFrom({}, list(129, tool('f')))).map((tools) => ({ tools })),
  'tools[0].type': fc.oneof(notString, fc.constant('')).map((type) => ({ tools: [{ ...tool('f'), type }] })),
  'tools[0].function.name': fc
    .oneof(notString, fc.constantFrom('', 'a b', 'é', 'x'.repeat(129), 'a\r\nb'))
    .map((name) => ({ tools: [tool(name)] })),
  tool_choice: fc
    .oneof(fc.integer(), fc.boolean(), fc.constantFrom('', 'maybe', []))
    .map((tool_choice) => ({ tool_choice })),
  response_format: notObject.map((response_format) => ({ response_format })),
  'response_format.type': fc
    .oneof(notString, fc.constantFrom('', 'xml', null))
    .map((type) => ({ response_format: { type } })),
  'response_format.json_schema': notObject.map((json_schema) => ({
    response_format: { type: 'json_schema', json_schema },
  })),
  prompt_cache_key: fc
    .oneof(notString, fc.constantFrom('', 'x'.repeat(257)))
    .map((prompt_cache_key) => ({ prompt_cache_key })),
  top_k: fc.oneof(notNumber, fc.constantFrom(1.5, -2, 1_000_001)).map((top_k) => ({ top_k })),
  min_p: outside(0, 1).map((min_p) => ({ min_p })),
  repetition_penalty: fc
    .oneof(outside(0, 2), fc.constant(0))
    .map((repetition_penalty) => ({ repetition_penalty })),
  reasoning_effort: notEffort.map((reasoning_effort) => ({ reasoning_effort })),
  reasoning: notObject.map((reasoning) => ({ reasoning })),
  'reasoning.effort': notEffort.map((effort) => ({ reasoning: { effort } })),
  'reasoning.max_tokens': notWithin(0, 65_536).map((max_tokens) => ({ reasoning: { max_tokens } })),
  'reasoning.max_usd': fc
    .oneof(fc.boolean(), fc.constantFrom('', '-1', '1e3', '.5', '1,5', '0.0000000001', -1, 1e6 + 1, []))
    .map((max_usd) => ({ reasoning: { max_usd } })),
  'reasoning.exclude': notBoolean.map((exclude) => ({ reasoning: { exclude } })),
  thinking: notObject.map((thinking) => ({ thinking })),
  'thinking.type': fc.oneof(notString, fc.constant('')).map((type) => ({ thinking: { type } })),
  'thinking.budget_tokens': notWithin(0, 65_536).map((budget_tokens) => ({ thinking: { budget_tokens } })),
  output_config: notObject.map((output_config) => ({ output_config })),
  'output_config.effort': notEffort.map((effort) => ({ output_config: { effort } })),
  enable_thinking: notBoolean.map((enable_thinking) => ({ enable_thinking })),
  thinking_budget: notWithin(0, 65_536).map((thinking_budget) => ({ thinking_budget })),
  chat_template_kwargs: notObject.map((chat_template_kwargs) => ({ chat_template_kwargs })),
};

describe('a body with one invalid field', () => {
  afterEach(expectNoEffect);

  it.each(Object.entries(INVALID))('is rejected for %s, which the error names', async (param, invalid) => {
    await fc.assert(
      fc.asyncProperty(invalid, async (change) => {
        const response = await sendRaw(customer, { body: JSON.stringify({ ...VALID, ...change }) });
        expect(errorFaults(response)).toEqual([]);
        expect([response.status, response.error!.code, response.error!.param]).toEqual([
          400,
          'invalid_value',
          param,
        ]);
        expect(response.error!.message).toContain(`\`${param}\``);
      }),
      { numRuns: 30 },
    );
  });

  it.each(['max_tokens', 'temperature', 'top_p', 'n', 'seed', 'presence_penalty', 'top_logprobs'])(
    'is rejected for a %s beyond all numbers',
    async (param) => {
      for (const number of ['1e999', '-1e999']) {
        const body = JSON.stringify(VALID).replace(/\}$/, `,"${param}":${number}}`);
        const response = await sendRaw(customer, { body });
        expect(errorFaults(response)).toEqual([]);
        expect(response.error).toMatchObject({ code: 'invalid_value', param });
      }
    },
  );
});

describe('anything', () => {
  afterEach(expectNoEffect);

  it('as a body is rejected', async () => {
    const field = fc.constantFrom(...Object.keys(INVALID), 'extra', '__proto__', 'constructor', 'toString');
    const body = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => bytes as Uint8Array<ArrayBuffer>),
      fc.dictionary(field, fc.jsonValue()).map((body) => JSON.stringify(body)),
      fc
        .dictionary(field, fc.jsonValue())
        .map((body) => JSON.stringify({ ...body, messages: VALID.messages })),
    );
    await fc.assert(
      fc.asyncProperty(body, async (body) => {
        expect(errorFaults(await sendRaw(customer, { body }))).toEqual([]);
      }),
      RUNS,
    );
  });

  it('as headers is rejected or ignored, and never an internal error', async () => {
    const value = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    });
    const headers = fc.record(
      {
        authorization: fc.oneof(
          value,
          value.map((key) => `Bearer ${key}`),
        ),
        'content-type': fc.oneof(
          value,
          value.map((rest) => `application/json; ${rest}`),
        ),
        'content-encoding': value,
        'idempotency-key': value,
        'x-session-id': value,
        accept: value,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      // the model does not exist, so that valid headers lead no further than to that error
      fc.asyncProperty(headers, async (headers) => {
        const body = JSON.stringify({ ...VALID, model: 'nobody-has-this' });
        expect(errorFaults(await sendRaw(customer, { headers, body }))).toEqual([]);
      }),
      RUNS,
    );
  });
});

describe('a valid body', () => {
  const servedModel = newModel();
  const KNOWN = new Set([...Object.keys(INVALID), 'messages']);
  const reserved = (name: string) => KNOWN.has(name) || name === '__proto__';

  it('is answered whatever unknown fields it has, and none of them reaches a node', async () => {
    // the fake node complains about any field outside the protocol
    await network().add(servedModel, () => stream(answer({ content: ['Yes', '.'] })));
    const funded = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
    const extra = fc.dictionary(
      fc.string().filter((name) => !reserved(name)),
      fc.jsonValue({ maxDepth: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(extra, extra, fc.boolean(), async (inBody, inMessage, stream) => {
        const message = { ...inMessage, ...VALID.messages[0], name: undefined };
        const body = JSON.stringify({ ...inBody, model: servedModel, messages: [message], stream });
        expect((await sendRaw(funded, { body })).status).toBe(200);
      }),
      { numRuns: 60 },
    );
  });
});
