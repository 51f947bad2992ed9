/** Answers when nothing goes wrong, and that they do not depend on how the node's bytes are split. */
import { describe, expect, it } from 'vitest';
import { NodeStream } from '../../../worker/gateway/node/stream.ts';
import { answer, DONE, frame, freshNetwork, type Step, stream, textChunk, usageOf } from '../fake-node.ts';
import { type Chunk, Customer, costOf, newModel } from './client.ts';

const network = freshNetwork();
const THINKING = { prompt: 12, cached: 4, reasoning: ['Let me ', 'think.'], content: ['Four', '.'] };
const deltas = (chunks: Chunk[]) => chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));

describe('a stream', () => {
  it('that comes with its end in one read reaches the client', async () => {
    const model = newModel();
    const steps = [...(answer({ content: ['Hi', ' you'] }) as Iterable<string>)];
    await network().add(model, [steps.map((step) => frame(step)).join('')]);
    const customer = await Customer.withCredit();
    const { content } = await customer.ask({ model, stream: true });
    expect(content).toBe('Hi you');
  });

  it('sends the role once, reasoning before content, usage and cost once on the last chunk, then [DONE]', async () => {
    const model = newModel();
    const node = await network().add(model, answer(THINKING));
    const customer = await Customer.withCredit();
    const { status, headers, events, chunks, requestId, record } = await customer.ask({
      model,
      stream: true,
    });

    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(requestId).toMatch(/^req_/);
    expect(headers.get('request-id')).toBe(requestId);
    for (const name of ['openai-processing-ms', 'x-ratelimit-limit-requests', 'x-ratelimit-reset-requests']) {
      expect(headers.get(name)).toMatch(/^\d+s?$/);
    }
    expect(events.filter((data) => data === '[DONE]')).toHaveLength(1);
    expect(events.at(-1)).toBe('[DONE]');
    expect(deltas(chunks)).toEqual([
      { role: 'assistant', content: null, reasoning_content: 'Let me ', reasoning: 'Let me ' },
      { reasoning_content: 'think.', reasoning: 'think.' },
      { content: 'Four' },
      { content: '.' },
      {},
    ]);
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({
        id: requestId,
        object: 'chat.completion.chunk',
        model,
        system_fingerprint: 'revision-1',
      });
    }
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, null, null, 'stop']);
    expect(chunks.slice(0, -1).some((chunk) => 'usage' in chunk)).toBe(false);
    expect(chunks.at(-1)!.usage).toEqual({
      prompt_tokens: 12,
      completion_tokens: 4,
      total_tokens: 16,
      prompt_cache_hit_tokens: 4,
      prompt_cache_miss_tokens: 8,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
      cost: costOf(12, 4, 4) / 1e9,
      cost_nano_usd: costOf(12, 4, 4),
    });
    expect(record).toMatchObject({
      state: 'posted',
      ending: 'finished',
      nodeId: node.id,
      chargeNanoUsd: costOf(12, 4, 4),
    });
    expect((await customer.balance()).heldNanoUsd).toBe(0);
    expect(node.received).toHaveLength(1);
    expect(node.received[0]!.claims).toMatchObject({
      jti: requestId,
      sub: customer.accountId,
      max_tokens: 8_192,
    });
  });

  it('sends usage in a chunk without choices when requested, and null usage before', async () => {
    const model = newModel();
    await network().add(model, answer(THINKING));
    const customer = await Customer.withCredit();
    const { events, chunks } = await customer.ask({
      model,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(chunks.slice(0, -1).map(({ usage }) => usage)).toEqual(Array(5).fill(null));
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: 4, cost_nano_usd: costOf(12, 4, 4) },
    });
    expect(events.at(-1)).toBe('[DONE]');
  });

  it('tells calls apart by their ids, also where the engine gives all of them one index', async () => {
    const model = newModel();
    const calls = ['a', 'b'].map((id, i) => ({
      choices: [
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, id, function: { name: 'now', arguments: '{}' } }] },
          finish_reason: null,
        },
      ],
      usage: usageOf(10, i + 1),
    }));
    const end = {
      choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' as const }],
      usage: usageOf(10, 2),
    };
    await network().add(model, [...calls, end, DONE]);
    const customer = await Customer.withCredit();
    const call = (id: string) => ({ id, type: 'function', function: { name: 'now', arguments: '{}' } });
    const { chunks } = await customer.ask({ model, stream: true });
    expect(deltas(chunks).flatMap(({ tool_calls = [] }) => tool_calls)).toEqual([
      { index: 0, ...call('a') },
      { index: 1, ...call('b') },
    ]);
    const { chunks: whole } = await customer.ask({ model });
    expect(whole[0]!.choices[0]!.message).toMatchObject({ tool_calls: [call('a'), call('b')] });
  });

  it('keeps several choices apart, each with its own role and finish', async () => {
    const model = newModel();
    const node = await network().add(model, [
      ...[0, 1, 0, 1].map((index, i) => ({
        choices: [{ index, delta: { content: `${index}${i} ` }, finish_reason: null }],
        usage: usageOf(10, i + 1),
      })),
      ...[1, 0].map((index) => ({
        choices: [{ index, delta: {}, finish_reason: 'stop' as const }],
        usage: usageOf(10, 4),
      })),
      DONE,
    ]);
    const customer = await Customer.withCredit();
    const { chunks, record } = await customer.ask({ model, stream: true, n: 2, max_tokens: 50 });
    for (const index of [0, 1]) {
      const ofChoice = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      expect(ofChoice.filter(({ delta }) => delta.role)).toHaveLength(1);
      expect(ofChoice[0]!.delta.role).toBe('assistant');
      expect(ofChoice.filter(({ finish_reason }) => finish_reason === 'stop')).toHaveLength(1);
      expect(ofChoice.map(({ delta }) => delta.content ?? '').join('')).toBe(
        index === 0 ? '00 02 ' : '11 13 ',
      );
    }
    expect(chunks.filter(({ usage }) => usage)).toHaveLength(1);
    expect(record).toMatchObject({ chargeNanoUsd: costOf(10, 4) });
    expect(node.received[0]!.request).toMatchObject({ n: 2, max_tokens: 50 });
    expect(node.received[0]!.claims.max_tokens).toBe(100);
  });

  it('passes tool calls on with their index, and assembles them when not streamed', async () => {
    const call = (delta: object, completion: number) => ({
      choices: [{ index: 0, delta: { tool_calls: [delta] }, finish_reason: null }],
      usage: usageOf(10, completion),
    });
    const steps = [
      call(
        { index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"at":' } },
        1,
      ),
      call({ index: 0, function: { arguments: '"Oslo"}' } }, 2),
      call({ index: 1, id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } }, 3),
      { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }], usage: usageOf(10, 3) },
      DONE,
    ] as Step[];
    const model = newModel();
    await network().add(model, () => stream(steps));
    const customer = await Customer.withCredit();
    const streamed = await customer.ask({ model, stream: true });
    expect(deltas(streamed.chunks).flatMap(({ tool_calls }) => tool_calls ?? [])).toMatchObject([
      { index: 0, id: 'call_a', function: { name: 'weather' } },
      { index: 0, function: { arguments: '"Oslo"}' } },
      { index: 1, id: 'call_b' },
    ]);
    expect(streamed.chunks.at(-1)!.choices[0]!.finish_reason).toBe('tool_calls');

    const whole = await customer.ask({ model });
    expect(JSON.parse(whole.text)).toMatchObject({
      object: 'chat.completion',
      choices: [
        {
          message: {
            role: 'assistant',
            content: null,
            tool_calls: [
              { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"at":"Oslo"}' } },
              { id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } },
            ],
          },
          finish_reason: 'tool_calls',
        },
      ],
    });
  });

  it('drops fields that only the engine uses', async () => {
    const model = newModel();
    const chunk = textChunk('Hi', usageOf(10, 1));
    const leaky = JSON.stringify({ ...chunk, matched_stop: 1, rid: 'engine-secret' });
    await network().add(model, [`data: ${leaky}\n\n`, DONE]);
    const { text, content } = await (await Customer.withCredit()).ask({ model, stream: true });
    expect(content).toBe('Hi');
    expect(text).not.toMatch(/matched_stop|engine-secret/);
  });
});

describe('the bytes of a node that sends chunks', () => {
  const steps = [...answer({ reasoning: ['naïve '], content: ['日本', '😀', 'é.'] })];
  const wire = steps.map((step) => frame(step as string)).join('');
  const bytesOf = (text: string) => new TextEncoder().encode(text);
  const untimed = (text: string, requestId: string) =>
    text.replaceAll(requestId, 'REQ').replace(/"created":\d+/g, '"created":0');

  async function output(parts: Step[]): Promise<string> {
    const model = newModel();
    (await network().add(model, parts)).isOld = true;
    const { text, requestId } = await (await Customer.withCredit()).ask({ model, stream: true });
    return untimed(text, requestId).replaceAll(model, 'MODEL');
  }

  it('give the same answer at once, byte by byte, with CRLF, or with events joined', async () => {
    const expected = await output([...steps]);
    expect(expected).toContain('日本');
    expect(expected).toMatch(/data: \[DONE\]\n\n$/);
    const crlf = bytesOf(wire.replaceAll('\n', '\r\n'));
    expect(await output([...bytesOf(wire)].map((byte) => Uint8Array.of(byte)))).toBe(expected);
    expect(await output([...crlf].map((byte) => Uint8Array.of(byte)))).toBe(expected);
    expect(await output([bytesOf(wire)])).toBe(expected);
    expect(await output([`: keep-alive\n\n${wire}`, 'data: {"after":"the end"}\n\n', 'garbage'])).toBe(
      expected,
    );
  });

  it('give the same events when split in two at any byte', async () => {
    const bytes = bytesOf(wire);
    const options = { idleDeadlineMs: 1_000 };
    const eventsOf = async (parts: Uint8Array[]) => {
      const nodeStream = new NodeStream(stream(parts).body!, options);
      const events = [await nodeStream.next()];
      while (events.at(-1)!.kind === 'chunk') events.push(await nodeStream.next());
      return JSON.stringify(events);
    };
    const expected = await eventsOf([bytes]);
    expect(expected).toMatch(/日本.*"kind":"end"/);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(await eventsOf([bytes.slice(0, cut), bytes.slice(cut)])).toBe(expected);
    }
  });
});
