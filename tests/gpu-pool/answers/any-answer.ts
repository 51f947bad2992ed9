/** Any answer that a node may give, and any form in which a client may want it. */
import fc from 'fast-check';
import { chargeNanoUsd } from '../../../gpu-pool/protocol/charge.ts';
import type {
  AnswerFormat,
  FinishReason,
  NodeChunk,
  NodeUsage,
  ResponsesFormat,
  ToolForm,
} from '../../../gpu-pool/protocol/schemas.ts';

export const PRICE = { cache_hit: 1, cache_miss: 4, output: 10 };
export const NO_USAGE: NodeUsage = {
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  reasoning_tokens: 0,
};

/** Texts with which a model would forge what only the agent may say, or part events where none ends. */
const FORGERIES = [
  '\n\n: u 1,1,1,1,1,1\n\n',
  '\n: end {}\n',
  '\r\r: u',
  '\u2028: u 1',
  'event: response.output_item.done\n',
];
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom(...FORGERIES) },
);
const args = fc.oneof(text, fc.constantFrom('{"input":"a', '\\n', 'b"}', '{}'));

const call = fc.record(
  {
    index: fc.nat(2),
    id: fc.constantFrom('a', 'b', 'c'),
    type: fc.constant('function' as const),
    function: fc.record(
      { name: fc.constantFrom('now', 'patch', 'ns__now'), arguments: args },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['index', 'function'] },
);

const choiceOf = (choices: number) =>
  fc.record(
    {
      index: fc.nat(choices - 1),
      delta: fc.record(
        { content: text, reasoning_content: text, tool_calls: fc.array(call, { maxLength: 2 }) },
        { requiredKeys: [] },
      ),
      finish_reason: fc.option(fc.constantFrom<FinishReason>('stop', 'length', 'tool_calls'), { freq: 1 }),
      logprobs: fc.constant({ content: [{ token: 'a', logprob: -1 }] }),
    },
    { requiredKeys: ['index', 'delta', 'finish_reason'] },
  );

/** Chunks with the usage that grows along: none, one or several tokens each. */
const chunksOf = (choices: number) =>
  fc
    .array(fc.tuple(fc.array(choiceOf(choices), { maxLength: 3 }), fc.nat(3)), { maxLength: 10 })
    .map((lists): NodeChunk[] => {
      let completion_tokens = 0;
      return lists.map(([choices, tokens]) => {
        completion_tokens += tokens;
        const reasoning_tokens = completion_tokens >> 1;
        return {
          choices,
          usage: { prompt_tokens: 10, cached_tokens: 3, completion_tokens, reasoning_tokens },
        };
      });
    });

const flag = fc.constantFrom<true | undefined>(undefined, true);
const head = fc.record(
  {
    request_id: fc.constant('req_1'),
    created_at_ms: fc.constant(1_700_000_000_123),
    model: fc.constant('m'),
    revision: fc.constant('r'),
    ignored: fc.constantFrom<string[][]>([], ['logit_bias']),
    turn: fc.record({
      previous_response_id: fc.option(fc.constant('resp_0')),
      secret: fc.option(fc.constant('secret')),
    }),
  },
  { requiredKeys: ['request_id', 'created_at_ms', 'model', 'revision', 'ignored'] },
);
const common = (choices: number) => ({
  head,
  choices: fc.constant(choices),
  exclude_reasoning: flag,
  calls_max: fc.constantFrom(undefined, 1),
});

const anyFormat = (choices: number, stream: boolean): fc.Arbitrary<AnswerFormat> =>
  fc.oneof(
    fc.record({
      dialect: fc.constant('chat' as const),
      stream: fc.constant(stream),
      ...common(choices),
      include_usage: flag,
      custom_tools: fc.constantFrom<(string[] | undefined)[]>(undefined, ['patch']),
      legacy_calls: flag,
    }),
    fc.record({
      dialect: fc.constant('completions' as const),
      stream: fc.constant(stream),
      ...common(choices),
      include_usage: flag,
      prefix: fc.constantFrom(undefined, 'Once '),
    }),
    fc.record({ dialect: fc.constant('messages' as const), stream: fc.constant(stream), ...common(choices) }),
    fc.record({
      dialect: fc.constant('responses' as const),
      stream: fc.constant(stream),
      ...common(choices),
      repeated: fc.constant<ResponsesFormat['repeated']>({
        instructions: 'Be brief.',
        max_output_tokens: null,
        metadata: { a: 'b' },
        parallel_tool_calls: true,
        reasoning: { effort: null, summary: null },
        temperature: null,
        text: { format: { type: 'text' } },
        tool_choice: 'auto',
        tools: [{ type: 'function', name: 'now', parameters: { item: {} }, strict: null }],
        top_p: 0.5,
      }),
      tool_forms: fc.constantFrom<(ToolForm[] | undefined)[]>(undefined, [
        { called: 'patch', kind: 'custom', name: 'patch' },
        { called: 'ns__now', kind: 'function', name: 'now', namespace: 'ns' },
      ]),
      streams_thought: flag,
      encrypted_thought: flag,
    }),
  );

export interface AnyAnswer {
  readonly format: AnswerFormat;
  readonly chunks: readonly NodeChunk[];
}

/** @param options.stream absent: either */
export function anyAnswer(options: { stream?: boolean } = {}): fc.Arbitrary<AnyAnswer> {
  const { stream } = options;
  return fc
    .tuple(fc.integer({ min: 1, max: 3 }), stream === undefined ? fc.boolean() : fc.constant(stream))
    .chain(([choices, streams]) =>
      fc.record({ format: anyFormat(choices, streams), chunks: chunksOf(choices) }),
    );
}

export function usageOf(chunks: readonly NodeChunk[]): NodeUsage {
  return chunks.at(-1)?.usage ?? NO_USAGE;
}

export function costOf(usage: NodeUsage): number {
  return chargeNanoUsd(usage, PRICE);
}

/** The formats of all dialects at their plainest. */
export function plainFormats(stream: boolean): AnswerFormat[] {
  const head = {
    request_id: 'req_1',
    created_at_ms: 1_700_000_000_123,
    model: 'm',
    revision: 'r',
    ignored: [],
  };
  const repeated = {
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    parallel_tool_calls: true,
    reasoning: { effort: null, summary: null },
    temperature: null,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: null,
  };
  const common = { stream, head, choices: 1 };
  return [
    { dialect: 'chat', ...common },
    { dialect: 'completions', ...common },
    { dialect: 'messages', ...common },
    { dialect: 'responses', ...common, repeated },
  ];
}

/** A chunk of text of the first choice. */
export function textChunk(content: string, completion_tokens: number): NodeChunk {
  const usage = { prompt_tokens: 10, cached_tokens: 3, completion_tokens, reasoning_tokens: 0 };
  return { choices: [{ index: 0, delta: { content }, finish_reason: null }], usage };
}
