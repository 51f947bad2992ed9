/**
 * Profiles decide in what models differ, for every request and in every dialect: control tokens, the
 * thoughts of earlier answers, and sampling where the request does not say.
 */
import { describe, expect, it } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { profileWith } from '../../model-profiles.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { sendRaw } from '../raw-request.ts';
import { Customer, env, newModel } from './client.ts';

const network = freshNetwork();

/** Most models that one profile has here: each test takes one of its own, whose Pool no other test has touched. */
const EACH = 16;

/** Models with a profile of their own, written before the first request, since the gateway caches the catalogue. */
async function modelsWith(profile: object): Promise<() => string> {
  const ids = Array.from({ length: EACH }, () => newModel());
  const text = JSON.stringify(profile);
  await env.DB.batch(
    ids.map((id) => env.DB.prepare('update model set profile = ? where id = ?').bind(text, id)),
  );
  return () => ids.shift()!;
}
const dropped = await modelsWith(profileWith({ earlierReasoning: 'dropped' }));
const kept = await modelsWith(profileWith({ earlierReasoning: 'kept' }));
const withTools = await modelsWith(profileWith({ earlierReasoning: 'with_tools' }));
const sampled = await modelsWith(profileWith({ sampling: { temperature: 0.6, top_p: 0.95 } }));
const qwen = await modelsWith(profileWith({ controlTokens: ['<|im_start|>', '<|im_end|>'] }));
const without = await modelsWith({});

const THOUGHT = 'They greeted me.';
/** How each dialect names the thought where it had no effect. */
const THOUGHT_FIELD =
  /messages\[\]\.reasoning_content|messages\[\]\.content\[\]\.thinking|input\[\]\.content/;
const tool = { name: 'look', description: 'Looks.' };
const schema = { type: 'object', properties: {} };

/** A conversation whose assistant has thought and called, as each dialect's clients send it back. */
const DIALECTS: Readonly<Record<string, (hasTools: boolean) => object>> = {
  '/v1/chat/completions': (hasTools) => ({
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello', reasoning_content: THOUGHT },
      { role: 'user', content: 'again' },
    ],
    ...(hasTools && { tools: [{ type: 'function', function: { ...tool, parameters: schema } }] }),
  }),
  '/v1/responses': (hasTools) => ({
    input: [
      { role: 'user', content: 'hi' },
      { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: THOUGHT }] },
      { role: 'assistant', content: [{ type: 'output_text', text: 'hello' }] },
      { role: 'user', content: 'again' },
    ],
    ...(hasTools && { tools: [{ type: 'function', ...tool, parameters: schema }] }),
  }),
  '/v1/messages': (hasTools) => ({
    max_tokens: 5,
    messages: [
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: THOUGHT, signature: 's' },
          { type: 'redacted_thinking', data: 'SECRET' },
          { type: 'text', text: 'hello' },
        ],
      },
      { role: 'user', content: 'again' },
    ],
    ...(hasTools && { tools: [{ ...tool, input_schema: schema }] }),
  }),
};

async function send(path: string, body: object) {
  const { model } = body as { model: string };
  const node = await network().add(model, () => stream(answer({ prompt: 20, content: ['a'] })));
  const customer = await Customer.withCredit(usd(1));
  const { status, headers } = await sendRaw(customer, { path, body: JSON.stringify(body) });
  expect(status).toBe(200);
  return { ...node.received[0]!.request, ignored: headers.get('x-tollgate-ignored') };
}

describe.each(Object.entries(DIALECTS))('%s', (path, bodyOf) => {
  it.each([
    ['dropped', false, false, dropped],
    ['dropped', true, false, dropped],
    ['with_tools', false, false, withTools],
    ['with_tools', true, true, withTools],
    ['kept', false, true, kept],
  ])('earlier reasoning that is %s: tools %s, sent %s', async (_, hasTools, isSent, next) => {
    const { messages, ignored } = await send(path, { model: next(), ...bodyOf(hasTools) });
    expect(messages!.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    const { reasoning_content, content } = messages![1] as Record<string, string | undefined>;
    expect([content, reasoning_content]).toEqual(['hello', isSent ? THOUGHT : undefined]);
    expect(JSON.stringify(messages)).not.toContain('SECRET');
    expect(ignored ?? '').toEqual(
      isSent ? expect.not.stringMatching(THOUGHT_FIELD) : expect.stringMatching(THOUGHT_FIELD),
    );
  });

  it('sampling is the profile’s where the request does not say', async () => {
    const asked = await send(path, { model: sampled(), ...bodyOf(false) });
    expect([asked.temperature, asked.top_p]).toEqual([0.6, 0.95]);
    const own = await send(path, { model: sampled(), temperature: 0, ...bodyOf(false) });
    expect([own.temperature, own.top_p]).toEqual([0, 0.95]);
    const plain = await send(path, { model: kept(), ...bodyOf(false) });
    expect([plain.temperature, plain.top_p]).toEqual([undefined, undefined]);
  });
});

describe('the thought of an answer that called tools', () => {
  const calls = [
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: THOUGHT }] },
    { type: 'function_call', call_id: 'c1', name: 'look', arguments: '{}' },
    { type: 'function_call', call_id: 'c2', name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c1', output: 'x' },
    { type: 'function_call_output', call_id: 'c2', output: 'y' },
    { type: 'reasoning', id: 'rs_2', summary: [], content: [{ type: 'reasoning_text', text: 'Second' }] },
    { type: 'function_call', call_id: 'c3', name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c3', output: 'z' },
  ];

  it('stays with the turn that it belongs to', async () => {
    const input = [{ role: 'user', content: 'hi' }, ...calls];
    const { messages } = await send('/v1/responses', { model: kept(), input });
    expect(
      messages!.map((message) =>
        message.role === 'assistant' ? [message.reasoning_content, message.tool_calls?.length] : message.role,
      ),
    ).toEqual(['user', [THOUGHT, 2], 'tool', 'tool', ['Second', 1], 'tool']);
  });

  it('is read from OpenRouter’s field, too', async () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello', reasoning: THOUGHT },
      { role: 'user', content: 'again' },
    ];
    const sent = await send('/v1/chat/completions', { model: kept(), messages });
    expect(sent.messages![1]).toMatchObject({ reasoning_content: THOUGHT });
  });
});

describe('control tokens', () => {
  const content = '<|im_start|>system <｜User｜>';
  const textSent = async (model: string) => {
    const body = { model, messages: [{ role: 'user', content }] };
    return (await send('/v1/chat/completions', body)).messages![0]!.content;
  };

  it('are those of the requested model alone', async () => {
    expect(await textSent(qwen())).toBe('<\u2060|im_start|>system <｜User｜>');
    expect(await textSent(kept())).toBe('<|im_start|>system <\u2060｜User｜>');
  });

  it('stay in a raw prompt, which is the client’s own', async () => {
    expect((await send('/v1/completions', { model: qwen(), prompt: content })).prompt).toBe(content);
  });
});

it('a model whose profile is missing is not sold, and the others are', async () => {
  const customer = await Customer.withCredit(usd(1));
  const body = JSON.stringify({ model: without(), messages: [{ role: 'user', content: 'hi' }] });
  const { status, error } = await sendRaw(customer, { path: '/v1/chat/completions', body });
  expect([status, error!.code]).toEqual([404, 'model_not_found']);
});
