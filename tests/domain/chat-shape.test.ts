/** For any chunks that the protocol allows, the edge's chat answers have the shape that OpenAI's package declares. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FinishReason, NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import type { AnswerEnd } from '../../worker/gateway/dialects/dialect.ts';
import { ChatEvents, WholeChat } from '../../worker/gateway/dialects/openai-chat-answer.ts';
import { OrderedCalls } from '../../worker/gateway/stream/ordered-calls.ts';
import { completionFaults, streamFaults } from '../shapes/openai-chat.ts';

const HEAD = { requestId: 'req_1', createdAtMs: 1_700_000_000_123, modelId: 'm', revision: 'r', ignored: [] };
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
  usage: { promptTokens: 9, cachedTokens: 3, completionTokens: 5, reasoningTokens: 2 },
  charge: nanoUsd(12_345),
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
      fc.property(anyAnswer, ({ choices, includeUsage, ranOut, ...rest }) => {
        const events = new ChatEvents(HEAD, { choices, includeUsage });
        const stream = inOrder(chunksOf(rest)).map((chunk) => events.chunk(chunk));
        expect(streamFaults([...stream, events.end(end(ranOut))].join(''))).toEqual([]);
      }),
    );
  });

  it('a stream passes on each delta, a thought under both of its names, with the role in the first of a choice', () => {
    fc.assert(
      fc.property(anyAnswer, ({ choices, includeUsage, deltas }) => {
        const events = new ChatEvents(HEAD, { choices, includeUsage });
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
        const whole = new WholeChat(HEAD, { choices });
        for (const chunk of inOrder(chunksOf(rest))) whole.chunk(chunk);
        const body = JSON.parse(JSON.stringify(whole.end(end(ranOut))));
        expect(completionFaults(body)).toEqual([]);
        expect(body.choices.map(({ index }: { index: number }) => index)).toEqual(
          Array.from({ length: choices }, (_, index) => index),
        );
      }),
    );
  });
});
