/** For any chunks that the protocol allows, the edge's chat answers have the shape that OpenAI's package declares. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChatEnding, ChatStream, endOfChat, WholeChat } from '../../gpu-pool/answers/chat.ts';
import type { AnswerEnd } from '../../gpu-pool/answers/formatter.ts';
import { OrderedCalls } from '../../gpu-pool/answers/ordered-calls.ts';
import type { ChatFormat } from '../../gpu-pool/protocol/answer-format.ts';
import type { FinishReason, NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { completionFaults, streamFaults } from '../shapes/openai-chat.ts';

const HEAD = {
  request_id: 'req_1',
  created_at_ms: 1_700_000_000_123,
  model: 'm',
  revision: 'r',
  ignored: [],
};
const format = (choices: number, includeUsage = false): ChatFormat => ({
  dialect: 'chat',
  stream: true,
  head: HEAD,
  choices,
  ...(includeUsage && { include_usage: true }),
});
const CHOICES_MAX = 3;

const text = fc.string({ unit: 'binary', maxLength: 12 });
const logprob = fc.record({
  token: text,
  bytes: fc.option(fc.array(fc.nat(255), { maxLength: 4 })),
  logprob: fc.double({ max: 0, min: -50, noNaN: true }),
  top_logprobs: fc.constant([]),
});
const toolCall = fc.record(
  {
    index: fc.nat(4),
    id: text,
    type: fc.constant('function' as const),
    function: fc.record({ name: text, arguments: text }, { requiredKeys: [] }),
  },
  { requiredKeys: ['index', 'function'] },
);
const choice = (choices: number) =>
  fc.record(
    {
      index: fc.nat(choices - 1),
      delta: fc.record(
        { content: text, reasoning_content: text, tool_calls: fc.array(toolCall, { maxLength: 2 }) },
        { requiredKeys: [] },
      ),
      finish_reason: fc.constant(null),
      logprobs: fc.option(fc.record({ content: fc.option(fc.array(logprob, { maxLength: 2 })) })),
    },
    { requiredKeys: ['index', 'delta', 'finish_reason'] },
  );
// `insufficient_system_resource` is DeepSeek's own and not in OpenAI's types.
const finish = fc.constantFrom<FinishReason>('stop', 'length', 'tool_calls', 'content_filter');

/** Deltas in any order; then some choices end and the others are cut. */
const anyAnswer = fc.integer({ min: 1, max: CHOICES_MAX }).chain((choices) =>
  fc.record({
    choices: fc.constant(choices),
    includeUsage: fc.boolean(),
    deltas: fc.array(fc.array(choice(choices), { maxLength: 3 }), { maxLength: 8 }),
    finishes: fc.array(fc.option(finish), { minLength: choices, maxLength: choices }),
    ranOut: fc.constantFrom<AnswerEnd['ranOut']>(null, 'insufficient_balance'),
  }),
);

const USAGE = { prompt_tokens: 9, cached_tokens: 3, completion_tokens: 5, reasoning_tokens: 2 };
const end = (ranOut: AnswerEnd['ranOut']): AnswerEnd => ({
  usage: USAGE,
  chargeNanoUsd: 12_345,
  ranOut,
});

function chunksOf({
  deltas,
  finishes,
}: {
  deltas: object[][];
  finishes: (FinishReason | null)[];
}): NodeChunk[] {
  const ends = finishes.flatMap((finish_reason, index) =>
    finish_reason === null ? [] : [[{ index, delta: {}, finish_reason }]],
  );
  return [...deltas, ...ends].map((choices) => ({ choices, usage: USAGE }) as NodeChunk);
}

function inOrder(chunks: NodeChunk[]): NodeChunk[] {
  const calls = new OrderedCalls((choice, call) => `call_${choice}_${call}`);
  return [...chunks.map((chunk) => calls.take(chunk)), calls.end()].filter((chunk) => chunk !== null);
}

describe('for any answer of a node', () => {
  it("a stream has OpenAI's shape, with one usage, a role and an end for each choice", () => {
    fc.assert(
      fc.property(anyAnswer, ({ choices, includeUsage, ranOut, ...given }) => {
        const events = new ChatStream(format(choices, includeUsage));
        const stream = inOrder(chunksOf(given)).map((chunk) => events.chunk(chunk));
        const { text: rest, tail } = events.close();
        const last = new ChatEnding(format(choices, includeUsage)).end(end(ranOut), tail);
        expect(streamFaults([...stream, rest, last].join(''))).toEqual([]);
      }),
    );
  });

  it('a stream passes on each delta, a thought under both of its names, with the role in the first of a choice', () => {
    fc.assert(
      fc.property(anyAnswer, ({ choices, includeUsage, deltas }) => {
        const events = new ChatStream(format(choices, includeUsage));
        const begun = new Set<number>();
        for (const { choices: chunkChoices } of chunksOf({ deltas, finishes: [] })) {
          const expected = chunkChoices.map(({ index, delta, logprobs: given }) => {
            const isFirst = !begun.has(index);
            begun.add(index);
            const role = { role: 'assistant', content: delta.reasoning_content === undefined ? '' : null };
            const { reasoning_content: reasoning } = delta;
            const thought = reasoning === undefined ? {} : { reasoning_content: reasoning, reasoning };
            const content = (given as { content?: unknown[] | null } | null | undefined)?.content ?? [];
            const logprobs = content.length > 0 ? { content, refusal: null } : null;
            return {
              id: 'req_1',
              object: 'chat.completion.chunk',
              created: 1_700_000_000,
              model: 'm',
              system_fingerprint: 'r',
              choices: [
                {
                  index,
                  delta: { ...(isFirst && role), ...delta, ...thought },
                  finish_reason: null,
                  logprobs,
                },
              ],
              ...(includeUsage && { usage: null }),
            };
          });
          const text = events.chunk({ choices: chunkChoices, usage: USAGE });
          expect(text).toBe(expected.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("an answer that is not streamed has OpenAI's shape, and every requested choice", () => {
    fc.assert(
      fc.property(anyAnswer, ({ choices, ranOut, ...rest }) => {
        const whole = new WholeChat(format(choices));
        for (const chunk of inOrder(chunksOf(rest))) whole.chunk(chunk);
        const body = JSON.parse(
          JSON.stringify({ ...whole.close(), ...endOfChat({ head: HEAD }, end(ranOut)) }),
        );
        expect(completionFaults(body)).toEqual([]);
        expect(body.choices.map(({ index }: { index: number }) => index)).toEqual(
          Array.from({ length: choices }, (_, index) => index),
        );
      }),
    );
  });
});
