/**
 * Answers that the engine sends as raw text, and the agent takes apart: how the engine is asked for them, and that what a
 * client gets does not depend on how the engine cut the text.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnswerFormat } from '../../../gpu-pool/agent/parse/answer-parser.ts';
import { answerFormat } from '../../../gpu-pool/agent/sglang/answer-format.ts';
import { StreamReader } from '../../../gpu-pool/agent/sglang/stream.ts';
import { GenerateRequest, type NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { BODY, generate, setUp, textOf } from './helpers.ts';
import { event, sse, total, usage } from './scripted-engine.ts';

const CHAT = '/v1/chat/completions';
const TOOL = {
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};
const CALL = (city: string) =>
  `<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n\`\`\`json\n{"city": "${city}"}\n\`\`\`<｜tool▁call▁end｜>`;
const CALLS = (...cities: string[]) =>
  `<｜tool▁calls▁begin｜>${cities.map(CALL).join('\n')}<｜tool▁calls▁end｜>`;

const R1: AnswerFormat = {
  parsers: { reasoning: 'deepseek-r1', tools: 'deepseekv3' },
  calls: { tools: [{ name: 'get_weather', parameters: null }], priorCalls: 0, list: false },
};

interface Options {
  format?: AnswerFormat;
  json?: boolean;
  stop?: string[];
  finish?: string;
  choices?: number;
  oneCall?: boolean;
  logprobs?: boolean;
  /** Whether the engine counts the text up to `</think>` as reasoning. */
  counted?: boolean;
}

/** The deltas of a choice whose text arrives in these parts, one engine event each. */
function answerOf(parts: string[], options: Options = {}) {
  const { finish = 'stop', choices = 1, counted = true } = options;
  let calls = 0;
  const reader = new StreamReader({
    choices,
    maxTokens: 100_000,
    json: options.json ?? false,
    stop: options.stop ?? [],
    oneCall: options.oneCall ?? false,
    newCallId: () => {
      calls += 1;
      return `call_${calls}`;
    },
    onChoiceId: () => {},
    onAnomaly: (kind) => expect(kind).toBe('never'),
  });
  reader.readAs(options.format ?? R1);
  const chunks: NodeChunk[] = [];
  const read = (data: unknown) => {
    const result = reader.read(JSON.stringify(data));
    if (result.kind !== 'chunk') throw new Error(result.kind);
    if (result.chunk) chunks.push(result.chunk);
  };
  let text = '';
  let thought = 0;
  for (const [at, content] of parts.entries()) {
    if (counted && !text.includes('</think>')) thought = at + 1;
    text += content;
    const counts = usage(at + 1, { reasoning: thought });
    const logprobs = options.logprobs ? { content: [at] } : undefined;
    for (let index = 0; index < choices; index += 1) read(event({ index, content, usage: counts, logprobs }));
  }
  for (let index = 0; index < choices; index += 1) read(event({ index, finish }));
  const all = chunks.flatMap((chunk) => chunk.choices);
  return {
    chunks,
    reader,
    answers: Array.from({ length: choices }, (_, index) => joined(chunks, index)),
    logprobs: all.flatMap(({ logprobs }) => (logprobs as { content: number[] } | undefined)?.content ?? []),
  };
}

function joined(chunks: NodeChunk[], index: number) {
  const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
  const calls: { id?: string | undefined; name?: string | undefined; arguments: string }[] = [];
  for (const call of own.flatMap(({ delta }) => delta.tool_calls ?? [])) {
    calls[call.index] ??= { id: call.id, name: call.function.name, arguments: '' };
    calls[call.index]!.arguments += call.function.arguments ?? '';
  }
  return {
    reasoning: textOf(chunks, 'reasoning_content', index),
    content: textOf(chunks, 'content', index),
    calls,
    finish: own.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null),
    stop: own.map(({ stop_sequence }) => stop_sequence).filter((stop) => stop !== undefined),
  };
}

function partsOf(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => 1 + (cut % Math.max(1, text.length - 1))))].sort(
    (a, b) => a - b,
  );
  return [0, ...places].map((place, at) => text.slice(place, places[at] ?? text.length)).filter(Boolean);
}

describe('an answer in raw text', () => {
  const cases: [
    name: string,
    text: string,
    options: Options,
    expected: Partial<ReturnType<typeof joined>>,
  ][] = [
    ['a thought and an answer', 'Hm.</think>Hi.', {}, { reasoning: 'Hm.', content: 'Hi.', finish: ['stop'] }],
    [
      'two calls',
      `Hm.</think>\n\n${CALLS('Köln', 'Paris')}`,
      {},
      {
        reasoning: 'Hm.',
        content: '',
        calls: [
          { id: 'call_1', name: 'get_weather', arguments: '{"city": "Köln"}' },
          { id: 'call_2', name: 'get_weather', arguments: '{"city": "Paris"}' },
        ],
        finish: ['tool_calls'],
      },
    ],
    [
      'an answer that names <think>',
      'Hm.</think>Write <think> and </think>.',
      {},
      { reasoning: 'Hm.', content: 'Write <think> and </think>.' },
    ],
    [
      'an answer without a thought, which names one',
      'Write <think> and </think>.',
      { counted: false },
      { reasoning: '', content: 'Write <think> and </think>.' },
    ],
    [
      'a call that was cut off',
      `Hm.</think>${CALLS('Köln').split('ln')[0]}`,
      { finish: 'length' },
      {
        calls: [{ id: 'call_1', name: 'get_weather', arguments: expect.stringMatching(/^\{"ci/) }],
        finish: ['length'],
      },
    ],
    [
      'a stop string in thought and answer',
      'One.\nTwo.</think>Three.\nFour.',
      { stop: ['.\nF'] },
      { reasoning: 'One.\nTwo.', content: 'Three', finish: ['stop'], stop: ['.\nF'] },
    ],
    [
      'a stop string that only begins before a call',
      `Hm.</think>Look EN${CALLS('Köln')}`,
      { stop: ['END'] },
      { content: 'Look EN', finish: ['tool_calls'], stop: [] },
    ],
    [
      'JSON behind a thought',
      'Hm.</think>{"a": 1}',
      { json: true, format: { ...R1, calls: null } },
      { reasoning: 'Hm.', content: '{"a": 1}' },
    ],
    [
      'JSON where the thought never ends',
      '{"a": 1}',
      { json: true, format: { ...R1, calls: null } },
      { reasoning: '', content: '{"a": 1}', finish: ['stop'] },
    ],
    [
      'a thought that was cut off',
      'Hm, let me </thi',
      { finish: 'length' },
      { reasoning: 'Hm, let me </thi', content: '' },
    ],
  ];

  it.each(cases)('is the same however it was cut: %s', (_, text, options, expected) => {
    const whole = answerOf([text], options).answers[0];
    expect(whole).toMatchObject(expected);
    const cuts = fc.array(fc.nat({ max: 1_000 }), { maxLength: 30 });
    fc.assert(
      fc.property(cuts, fc.boolean(), (places, logprobs) => {
        const parts = partsOf(text, places);
        const answer = answerOf(parts, { ...options, choices: 2, logprobs });
        for (const one of answer.answers)
          expect({ ...one, calls: one.calls.map(({ name, arguments: json }) => ({ name, json })) }).toEqual({
            ...whole,
            calls: whole?.calls.map(({ name, arguments: json }) => ({ name, json })),
          });
        // Every token's log-probabilities leave once, in order, unless a stop string has ended the answer before.
        const expectedTokens = parts.flatMap((_, at) => [at, at]);
        if (logprobs && !options.stop) expect(answer.logprobs.sort((a, b) => a - b)).toEqual(expectedTokens);
      }),
      { numRuns: 60 },
    );
  });

  it('has the usage that the engine counts, whatever the text says', () => {
    const { reader } = answerOf(['Hm', '</think>', 'Hi']);
    expect(reader.usage).toMatchObject({ completion_tokens: 3, reasoning_tokens: 2 });
  });

  it('leaves as it comes', () => {
    const { chunks } = answerOf(['Hm ', 'so.', '</think>', 'Hi ', 'there', '.'], {
      format: { ...R1, calls: null },
    });
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas).toEqual([
      { reasoning_content: 'Hm ' },
      { reasoning_content: 'so.' },
      { content: 'Hi ' },
      { content: 'there' },
      { content: '.' },
      {},
    ]);
  });

  it('has the log-probabilities of what is held back, and of markup, with the text that follows', () => {
    const { chunks } = answerOf(['Hm.', '</th', 'ink>', 'Hi ', '<', 'b>'], { logprobs: true });
    const seen = chunks.flatMap(({ choices }) =>
      choices.map(({ delta, logprobs }) => [
        delta.reasoning_content ?? delta.content,
        (logprobs as { content: number[] } | undefined)?.content,
      ]),
    );
    expect(seen).toEqual([
      ['Hm.', [0]],
      ['Hi', [1, 2, 3]],
      [' <b>', [4, 5]],
      [undefined, undefined],
    ]);
  });

  it('has its text before the call that follows it, also where the text might have become a stop string', () => {
    const { chunks } = answerOf([`Hm.</think>Look EN`, CALLS('Köln')], { stop: ['END'] });
    const kinds = chunks.flatMap(({ choices }) => choices.flatMap(({ delta }) => Object.keys(delta)));
    expect(kinds.filter((kind, at) => kind !== kinds[at - 1])).toEqual([
      'reasoning_content',
      'content',
      'tool_calls',
    ]);
  });

  it('that the engine has taken apart after all stays as it is', () => {
    const toolCalls = [{ index: 0, id: 'theirs', function: { name: 'get_weather', arguments: '{}' } }];
    const reader = new StreamReader({
      choices: 1,
      maxTokens: 10,
      json: false,
      stop: [],
      newCallId: () => 'ours',
      onChoiceId: () => {},
      onAnomaly: () => {},
    });
    reader.readAs(R1);
    const first = reader.read(JSON.stringify(event({ reasoning: 'Hm', usage: usage(1, { reasoning: 1 }) })));
    const second = reader.read(JSON.stringify(event({ toolCalls, usage: usage(2, { reasoning: 1 }) })));
    expect(
      [first, second].map((result) => (result.kind === 'chunk' ? result.chunk?.choices[0]?.delta : null)),
    ).toEqual([
      { reasoning_content: 'Hm' },
      {
        tool_calls: [
          { index: 0, id: 'theirs', type: 'function', function: { name: 'get_weather', arguments: '{}' } },
        ],
      },
    ]);
  });
});

describe('an answer of one call', () => {
  const text = `Hm.</think>Look.${CALLS('Köln', 'Bonn')} More.`;

  it('ends behind it, however its text is cut, with what the engine goes on to generate counted', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        const parts = partsOf(text, cuts);
        const { answers, reader } = answerOf(parts, { oneCall: true });
        expect(answers[0]).toMatchObject({
          content: 'Look.',
          calls: [{ name: 'get_weather', arguments: '{"city": "Köln"}' }],
          finish: ['tool_calls'],
        });
        expect([reader.complete, reader.takeStopped()]).toEqual([true, [0]]);
        expect(reader.usage.completion_tokens).toBe(parts.length);
      }),
    );
  });

  it('ends each choice by itself', () => {
    const { answers, reader } = answerOf([text], { oneCall: true, choices: 2 });
    expect(answers.map(({ calls, finish }) => [calls.length, ...finish])).toEqual(
      Array(2).fill([1, 'tool_calls']),
    );
    expect(reader.takeStopped()).toEqual([0, 1]);
  });

  it('without a call ends as any other', () => {
    const { answers, reader } = answerOf(['Hm.</think>Hi.'], { oneCall: true });
    expect([answers[0]!.finish, reader.takeStopped()]).toEqual([['stop'], []]);
  });
});

describe('the engine is asked for raw text', () => {
  async function asked(fields: object) {
    const { agent, edge, engine } = await setUp();
    const text = `Hm.</think>${CALLS('Köln')}`;
    engine.onChat = ({ req, res }) => {
      if (req.url === '/tokenize') return void res.end('{"tokens":[5,6,7],"count":3}');
      const counts = usage(9, { reasoning: 2 });
      sse(res, [event({ content: text, usage: counts }), event({ finish: 'stop' }), total(counts), '[DONE]']);
    };
    const answer = await generate({ agent, edge }, { body: { ...BODY, ...fields } });
    const bodyOf = (path: string) => engine.calls.find(({ req }) => req.url === path)?.body;
    return { answer: joined(answer.chunks, 0), sent: bodyOf(CHAT), tokenized: bodyOf('/tokenize') };
  }

  it('and takes a thought out of it', async () => {
    const { answer, sent, tokenized } = await asked({});
    expect(sent).toMatchObject({ separate_reasoning: false, messages: BODY.messages });
    expect([sent?.input_ids, tokenized]).toEqual([undefined, undefined]);
    // Without tools the text of calls is text.
    expect(answer).toMatchObject({ reasoning: 'Hm.', content: CALLS('Köln'), calls: [] });
  });

  it('and not told of the tools, which are in the prompt’s tokens', async () => {
    const { answer, sent, tokenized } = await asked({
      tools: [TOOL],
      template_variables: { thinking: true },
    });
    expect(tokenized).toMatchObject({
      messages: BODY.messages,
      tools: [TOOL],
      chat_template_kwargs: { thinking: true },
    });
    expect(sent).toMatchObject({
      input_ids: [5, 6, 7],
      messages: [{ role: 'user', content: '' }],
      separate_reasoning: false,
      skip_special_tokens: false,
      chat_template_kwargs: { thinking: true },
    });
    expect(sent).not.toHaveProperty('tools');
    expect(sent).not.toHaveProperty('tool_choice');
    expect(sent).not.toHaveProperty('response_format');
    expect(answer.calls).toEqual([
      {
        id: expect.stringMatching(/^call_[0-9a-f]{24}$/),
        name: 'get_weather',
        arguments: '{"city": "Köln"}',
      },
    ]);
    expect(answer.finish).toEqual(['tool_calls']);
  });

  it.each([
    ['required', 'required', false, true, {}],
    ['a tool', { type: 'function', function: { name: 'get_weather' } }, false, true, {}],
    ['a strict tool', 'auto', true, false, TOOL.function.parameters],
  ])(
    'with the grammar of the calls that it demands: %s',
    async (_, tool_choice, strict, atLeastOne, schema) => {
      const other = { type: 'function', function: { name: 'other', parameters: { type: 'object' } } };
      const tools = [{ ...TOOL, function: { ...TOOL.function, strict } }, other];
      const { sent = {} } = await asked({ tools, tool_choice });
      expect(sent.response_format).toMatchObject({ type: 'structural_tag', at_least_one: atLeastOne });
      const { structures } = sent.response_format as { structures: { begin: string; schema: unknown }[] };
      expect(structures[0]).toMatchObject({ begin: expect.stringContaining('get_weather'), schema });
      expect(structures).toHaveLength(typeof tool_choice === 'object' ? 1 : 2);
    },
  );

  it('and not where calls are ruled out', async () => {
    const { sent, tokenized } = await asked({ tools: [TOOL], tool_choice: 'none' });
    expect(sent).toMatchObject({ tools: [TOOL], tool_choice: 'none', separate_reasoning: false });
    expect(tokenized).toBeUndefined();
  });

  it.each([
    ['a reasoning parser', { reasoning: 'gpt-oss', tools: 'deepseekv3' }],
    ['a tool parser', { reasoning: 'deepseek-r1', tools: 'gpt-oss' }],
    ['any tool parser', { reasoning: 'deepseek-r1', tools: null }],
  ])('but for a family of which the agent does not know %s', (_, parsers) => {
    const request = GenerateRequest.parse({ ...BODY, tools: [TOOL] });
    expect(answerFormat(request, parsers)).toBeNull();
    expect(answerFormat(request, { reasoning: 'deepseek-r1', tools: 'deepseekv3' })).not.toBeNull();
  });

  it('but where a grammar of JSON and one of calls are demanded at once, which it refuses itself', async () => {
    const { sent } = await asked({
      tools: [TOOL],
      tool_choice: 'required',
      response_format: { type: 'json_object' },
    });
    expect(sent).toMatchObject({ separate_reasoning: true, tools: [TOOL], tool_choice: 'required' });
  });
});
