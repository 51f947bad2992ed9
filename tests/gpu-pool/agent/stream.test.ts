/** The engine's stream as the edge receives it: chunks, usage, JSON answers, and arbitrary splits of its bytes. */
import { describe, expect, it } from 'vitest';
import { StreamReader } from '../../../gpu-pool/agent/sglang/stream.ts';
import type { UsageAnomaly } from '../../../gpu-pool/agent/sglang/usage.ts';
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { readTextChunk } from '../../../worker/gateway/node/chunk.ts';
import { BODY, generate, setUp, textOf, until } from './helpers.ts';
import { event, sse, sseText, total, usage } from './scripted-engine.ts';

function readAll(
  events: unknown[],
  options: { choices?: number; maxTokens?: number; json?: boolean; stop?: string[]; oneCall?: boolean } = {},
) {
  const anomalies: UsageAnomaly[] = [];
  const reader = new StreamReader({
    choices: 1,
    maxTokens: 1_000,
    json: false,
    stop: [],
    newCallId: () => 'call_new',
    onChoiceId: () => {},
    onAnomaly: (kind) => anomalies.push(kind),
    ...options,
  });
  const chunks: NodeChunk[] = [];
  for (const event of events) {
    const result = reader.read(JSON.stringify(event));
    if (result.kind !== 'chunk') throw new Error(result.kind);
    if (result.chunk) chunks.push(result.chunk);
  }
  return { reader, chunks, anomalies };
}

describe('normalised chunks', () => {
  it('have the form that the edge reads fastest', () => {
    const { chunks } = readAll([
      event({ reasoning: 'Hm, ', usage: usage(1, { reasoning: 1 }) }),
      event({ content: 'Grüß Gott!', usage: usage(2, { reasoning: 1, cached: 8 }) }),
    ]);
    expect(chunks).toHaveLength(2);
    expect(chunks.map((chunk) => readTextChunk(JSON.stringify(chunk)))).toEqual(chunks);
  });

  it('drop engine-only fields, nulls, and events without news', () => {
    const { chunks } = readAll([
      event({ role: 'assistant', content: '' }),
      event({ reasoning: 'Hm', usage: usage(1, { reasoning: 1 }) }),
      event({ content: '', usage: usage(1, { reasoning: 1 }) }),
      event({ content: 'Hi', usage: usage(2, { reasoning: 1 }) }),
      event({ finish: 'stop' }),
      total(usage(2, { reasoning: 1, cached: 8 })),
    ]);
    const counts = { prompt_tokens: 12, cached_tokens: 0, reasoning_tokens: 1 };
    expect(chunks).toEqual([
      {
        choices: [{ index: 0, delta: { reasoning_content: 'Hm' }, finish_reason: null }],
        usage: { ...counts, completion_tokens: 1 },
      },
      {
        choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }],
        usage: { ...counts, completion_tokens: 2 },
      },
      {
        choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
        usage: { ...counts, completion_tokens: 2 },
      },
      { choices: [], usage: { ...counts, completion_tokens: 2, cached_tokens: 8 } },
    ]);
  });

  it('keep a usage that advances without text', () => {
    const { chunks } = readAll([event({ usage: usage(3) })]);
    expect(chunks).toEqual([
      {
        choices: [],
        usage: { prompt_tokens: 12, cached_tokens: 0, completion_tokens: 3, reasoning_tokens: 0 },
      },
    ]);
  });

  it('sum usage over choices, count the prompt once, and are complete when all have ended', () => {
    const { reader, chunks } = readAll(
      [
        event({ index: 0, content: 'a', usage: usage(3, { reasoning: 1 }) }),
        event({ index: 1, content: 'b', usage: usage(5, { reasoning: 2 }) }),
        event({ index: 0, content: 'c', usage: usage(4, { reasoning: 1 }) }),
        event({ index: 0, finish: 'stop' }),
      ],
      { choices: 2 },
    );
    expect(chunks.map(({ usage: { completion_tokens } }) => completion_tokens)).toEqual([3, 8, 9, 9]);
    expect(reader.usage).toMatchObject({ prompt_tokens: 12, reasoning_tokens: 3 });
    expect(reader.complete).toBe(false);
    reader.read(JSON.stringify(event({ index: 1, finish: 'length' })));
    expect(reader.complete).toBe(true);
  });

  it('read reasoning_tokens nested as in OpenAI’s API too', () => {
    const counts = {
      prompt_tokens: 1,
      completion_tokens: 9,
      completion_tokens_details: { reasoning_tokens: 4 },
    };
    expect(readAll([event({ content: 'a', usage: counts })]).reader.usage.reasoning_tokens).toBe(4);
  });

  it.each([
    ['stop', 'stop'],
    ['length', 'length'],
    ['tool_calls', 'tool_calls'],
    ['content_filter', 'content_filter'],
    ['eos_or_so', 'stop'],
  ])('map finish_reason %s to %s', (engine, ours) => {
    expect(readAll([event({ finish: engine })]).chunks[0]?.choices[0]?.finish_reason).toBe(ours);
  });

  it('pass logprobs and tool calls without their nulls', () => {
    const logprobs = { content: [{ token: 'a', logprob: -0.1, bytes: [97], top_logprobs: [] }] };
    const toolCalls = [
      { index: null, id: 'call_1', type: 'function', function: { name: 'f', arguments: null } },
    ];
    const { chunks } = readAll([
      event({ content: 'a', logprobs, usage: usage(1) }),
      event({ toolCalls, usage: usage(2) }),
    ]);
    expect(chunks[0]?.choices[0]?.logprobs).toEqual(logprobs);
    expect(chunks[1]?.choices[0]?.delta).toEqual({
      tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'f' } }],
    });
  });

  it.each([
    ['no JSON', '{"choices": ['],
    ['a list', '[]'],
    ['a choice that was not requested', JSON.stringify(event({ index: 3, content: 'x' }))],
    ['text that is no text', JSON.stringify(event({ content: 5 as unknown as string }))],
  ])('are malformed where the engine sends %s', (_, data) => {
    const { reader } = readAll([]);
    expect(reader.read(data).kind).toBe('malformed');
  });
});

describe('usage that cannot be trusted', () => {
  const good = [event({ content: 'a', usage: usage(5, { cached: 4 }) })];

  it.each<[string, unknown, UsageAnomaly]>([
    ['shrinking', usage(3, { cached: 4 }), 'shrinking'],
    ['negative', usage(-7, { cached: 4 }), 'invalid'],
    ['huge', usage(2 ** 53, { cached: 4 }), 'invalid'],
    ['fractional', usage(6.5, { cached: 4 }), 'invalid'],
    ['text', { ...usage(0), completion_tokens: '9' }, 'invalid'],
    ['absent', undefined, 'missing'],
    ['null', null, 'missing'],
  ])('keeps the last good value where it is %s', (_, bad, anomaly) => {
    const { reader, anomalies } = readAll([...good, event({ content: 'b', usage: bad })]);
    expect(reader.usage).toMatchObject({ completion_tokens: 5, cached_tokens: 4, prompt_tokens: 12 });
    expect(anomalies).toContain(anomaly);
  });

  it('counts non-empty deltas where the engine never reports', () => {
    const { reader } = readAll([
      event({ content: 'a' }),
      event({ content: '' }),
      event({ reasoning: 'b' }),
      event({ finish: 'stop' }),
    ]);
    expect(reader.usage.completion_tokens).toBe(2);
  });

  it('keeps parts within their wholes', () => {
    const { reader, anomalies } = readAll([
      event({ content: 'a', usage: usage(2, { reasoning: 9, cached: 99 }) }),
    ]);
    expect(reader.usage).toEqual({
      prompt_tokens: 12,
      cached_tokens: 12,
      completion_tokens: 2,
      reasoning_tokens: 2,
    });
    expect(anomalies).toEqual(['inconsistent', 'inconsistent']);
  });
});

describe('JSON answers (sglang#4539)', () => {
  it('move from reasoning to content when no content ever came', () => {
    const { chunks } = readAll(
      [
        event({ reasoning: '{"a":', usage: usage(1), logprobs: { content: [1] } }),
        event({ reasoning: '1}', usage: usage(2), logprobs: { content: [2] } }),
        event({ finish: 'stop' }),
      ],
      { json: true },
    );
    expect(textOf(chunks)).toBe('{"a":1}');
    expect(textOf(chunks, 'reasoning_content')).toBe('');
    expect(chunks.flatMap(({ choices }) => choices.map(({ logprobs }) => logprobs))).toContainEqual({
      content: [1, 2],
    });
    expect(chunks.at(-1)?.choices.at(-1)?.finish_reason).toBe('stop');
    // Metering goes on while the text is held back.
    expect(chunks[0]).toMatchObject({ choices: [], usage: { completion_tokens: 1 } });
  });

  it('keep genuine reasoning once content follows, in order', () => {
    const { chunks } = readAll(
      [
        event({ reasoning: 'Let me ', usage: usage(1) }),
        event({ reasoning: 'think', usage: usage(2) }),
        event({ content: '{}', usage: usage(3) }),
        event({ reasoning: '!', usage: usage(4) }),
        event({ finish: 'stop' }),
      ],
      { json: true },
    );
    expect(textOf(chunks, 'reasoning_content')).toBe('Let me think!');
    expect(textOf(chunks)).toBe('{}');
    expect(chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta))).toEqual([
      { reasoning_content: 'Let me ' },
      { reasoning_content: 'think' },
      { content: '{}' },
      { reasoning_content: '!' },
      {},
    ]);
  });

  it('hold reasoning back only while it may be JSON', () => {
    const { chunks } = readAll(
      [
        event({ reasoning: '\n', usage: usage(1) }),
        event({ reasoning: '{"a" is what', usage: usage(2) }),
        event({ content: '{}', usage: usage(3) }),
        event({ finish: 'stop' }),
      ],
      { json: true },
    );
    expect(textOf(chunks, 'reasoning_content')).toBe('\n{"a" is what');
    expect(textOf(chunks)).toBe('{}');
  });

  it('end as content although a thought was never ended', () => {
    const { chunks } = readAll(
      [event({ reasoning: 'Here: {}', usage: usage(1) }), event({ finish: 'stop' })],
      { json: true },
    );
    expect(textOf(chunks)).toBe('Here: {}');
  });

  it('stay reasoning where the limit cut off text that is not JSON', () => {
    const { chunks } = readAll(
      [event({ reasoning: 'Let me', usage: usage(1) }), event({ finish: 'length' })],
      { json: true },
    );
    expect(textOf(chunks, 'reasoning_content')).toBe('Let me');
  });
});

describe('stop strings', () => {
  const stream = (...contents: string[]) => [
    event({ reasoning: 'so\n\nEND', usage: usage(1, { reasoning: 1 }) }),
    ...contents.map((content, i) => event({ content, usage: usage(i + 2, { reasoning: 1 }) })),
  ];

  it.each([
    [['one two', '\nthree'], ['\n'], 'one two', '\n'],
    [['one E', 'N', 'D two'], ['END'], 'one ', 'END'],
    [['one EN', 'E', 'ND'], ['END'], 'one EN', 'END'],
    [['a', 'b', 'c'], ['c', 'bc'], 'a', 'bc'],
    [['ab', 'cd'], ['', 'abcde', 'd'], 'abc', 'd'],
  ])('end the answer %j at %j, and no reasoning', (contents, stop, text, matched) => {
    const { chunks, reader } = readAll(stream(...contents, ' never seen'), { stop });
    expect(textOf(chunks, 'reasoning_content')).toBe('so\n\nEND');
    expect(textOf(chunks)).toBe(text);
    const endings = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.finish_reason));
    expect(endings).toEqual([{ index: 0, delta: {}, finish_reason: 'stop', stop_sequence: matched }]);
    expect([reader.complete, reader.takeStopped(), reader.takeStopped()]).toEqual([true, [0], []]);
    // The engine has generated the rest too.
    expect(reader.usage.completion_tokens).toBe(contents.length + 2);
  });

  it('lose nothing of an answer that only begins like one, and keep the tokens with their text', () => {
    const events = ['one E', 'N', 'd', ' E'].map((content, i) =>
      event({ content, usage: usage(i + 1), logprobs: { content: [i] } }),
    );
    const { chunks } = readAll([...events, event({ finish: 'length' })], { stop: ['END'] });
    expect(textOf(chunks)).toBe('one ENd E');
    const choices = chunks.flatMap((chunk) => chunk.choices);
    expect(choices.flatMap(({ logprobs }) => (logprobs as { content: number[] })?.content ?? [])).toEqual([
      0, 1, 2, 3,
    ]);
    expect(choices.at(-1)?.finish_reason).toBe('length');
  });

  it('end one of several choices, and let the others go on', () => {
    const { chunks, reader } = readAll(
      [
        event({ content: 'a.b', usage: usage(1) }),
        event({ index: 1, content: 'c', usage: usage(1) }),
        event({ content: 'more', usage: usage(2) }),
        event({ finish: 'abort' }),
        event({ index: 1, content: 'd', usage: usage(2) }),
        event({ index: 1, finish: 'length' }),
      ],
      { stop: ['.'], choices: 2 },
    );
    expect([textOf(chunks), textOf(chunks, 'content', 1)]).toEqual(['a', 'cd']);
    expect([reader.complete, reader.abortedByEngine]).toEqual([true, false]);
    expect(reader.usage.completion_tokens).toBe(4);
  });
});

describe('an answer of one call, which the engine has taken apart,', () => {
  const call = (index: number, id: string | null, name: string | null, args: string) =>
    event({ toolCalls: [{ index, id, function: { name, arguments: args } }], usage: usage(1) });

  it.each([
    ['whose call is whole', [call(0, 'a', 'f', '{"x"'), call(0, null, null, ':1}')], '{"x":1}'],
    ['whose call has no arguments', [call(0, 'a', 'f', '')], ''],
    ['whose calls have one index', [call(0, 'a', 'f', '{"x"')], '{"x"'],
  ])('%s, ends before another', (name, first, expected) => {
    const second = call(name.includes('one index') ? 0 : 1, 'b', 'g', '{}');
    const { chunks, reader } = readAll([...first, second, event({ finish: 'tool_calls' })], {
      oneCall: true,
    });
    const choices = chunks.flatMap((chunk) => chunk.choices);
    const calls = choices.flatMap(({ delta }) => delta.tool_calls ?? []);
    expect(calls.map(({ id }) => id).filter(Boolean)).toEqual(['a']);
    expect(calls.map(({ function: called }) => called.arguments ?? '').join('')).toBe(expected);
    expect(choices.flatMap(({ finish_reason }) => finish_reason ?? [])).toEqual(['tool_calls']);
    expect(reader.takeStopped()).toEqual([0]);
  });
});

describe('bytes', () => {
  const texts = ['né', '日本', '👩‍💻', ' "quoted"\n\ndata: x'];
  const events = [
    event({ role: 'assistant', content: '' }),
    ...texts.map((content, i) => event({ content, usage: usage(i + 1) })),
    event({ finish: 'stop' }),
    total(usage(texts.length)),
    '[DONE]',
  ];

  it.each([
    ['\n', 'LF'],
    ['\r\n', 'CRLF'],
    ['\r', 'CR'],
  ])('give the same answer split at every byte (%j)', async (newline) => {
    const { agent, edge, engine } = await setUp();
    const whole = await generate({ agent, edge });
    engine.onChat = async ({ res }) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.socket?.setNoDelay(true);
      for (const byte of Buffer.from(sseText(events, newline))) {
        res.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
      res.end();
    };
    const split = await generate({ agent, edge });
    expect(whole.done).toBe(true);
    expect(split.done).toBe(true);
    expect(textOf(split.chunks)).toBe(texts.join(''));
    expect(split.chunks.at(-1)?.usage.completion_tokens).toBe(texts.length);
  });

  it('are all passed on to a slow reader, without reading the engine far ahead', async () => {
    const { agent, edge, engine } = await setUp();
    const text = 'x'.repeat(64 << 10);
    let sent = 0;
    engine.onChat = async ({ res }) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 1; i <= 400; i += 1) {
        const free = res.write(sseText([event({ content: text, usage: usage(i) })]));
        sent = i;
        if (!free) await new Promise((resolve) => res.once('drain', resolve));
      }
      sse(res, [event({ finish: 'stop' }), '[DONE]']);
    };
    const response = await fetch(`${agent.url}/v1/generate`, {
      method: 'POST',
      headers: await edge.sign(),
      body: JSON.stringify(BODY),
    });
    const reader = response.body!.getReader();
    await reader.read();
    let before = -1;
    while (sent > before) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(sent).toBeLessThan(350);
    let bytes = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
    expect(bytes).toBeGreaterThan(399 * text.length);
    await until(() => edge.receipts[0]?.outcome === 'finished');
  });
});
