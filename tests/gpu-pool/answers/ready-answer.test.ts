/** An answer as the agent writes it and the edge ends it: the client's events, nothing unpaid, and marks that are true. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  endMembers,
  streamEnding,
  streamFormatter,
  wholeFormatter,
} from '../../../gpu-pool/answers/formatters.ts';
import { MarkReader } from '../../../gpu-pool/answers/mark-reader.ts';
import { objectLine, readLine, withoutMarks } from '../../../gpu-pool/answers/marks.ts';
import { OrderedCalls } from '../../../gpu-pool/answers/ordered-calls.ts';
import { OutputItems } from '../../../gpu-pool/answers/output-items.ts';
import { ReadyAnswer } from '../../../gpu-pool/answers/ready-answer.ts';
import { finishedResponse } from '../../../gpu-pool/answers/responses.ts';
import { withoutReasoning } from '../../../gpu-pool/answers/without-reasoning.ts';
import { AnswerFormat, type NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { type AnyAnswer, anyAnswer, costOf, PRICE, plainFormats, textChunk, usageOf } from './any-answer.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const NOW_MS = 1_700_000_009_000;

/** The chunks as formatters take them. */
function inOrder({ format, chunks }: AnyAnswer): NodeChunk[] {
  const calls = new OrderedCalls((choice, call) => `call_1_${choice}_${call}`, format.calls_max);
  const shown = chunks.map((chunk) => (format.exclude_reasoning ? withoutReasoning(chunk) : chunk));
  return [...shown.map((chunk) => calls.take(chunk)), calls.end()].filter((chunk) => chunk !== null);
}

const closingOf = ({ chunks }: AnyAnswer) => ({ usage: usageOf(chunks), nowMs: NOW_MS });
const endOf = ({ chunks }: AnyAnswer) => ({ usage: usageOf(chunks), chargeNanoUsd: 77, ranOut: null });

/** The answer of a formatter alone, without budget and marks. */
function formatted(answer: AnyAnswer): string {
  const { format } = answer;
  if (!format.stream) {
    const whole = wholeFormatter(format);
    for (const chunk of inOrder(answer)) whole.chunk(chunk);
    return JSON.stringify({ ...whole.close(closingOf(answer)), ...endMembers(format, endOf(answer)) });
  }
  const stream = streamFormatter(format);
  const written = inOrder(answer).map((chunk) => stream.chunk(chunk));
  const { text, tail } = stream.close(closingOf(answer));
  const begun = [...written, text].join('');
  const output = new OutputItems();
  output.take(begun);
  return begun + streamEnding(format).end(endOf(answer), tail, output.items);
}

/** What the client gets of the agent's text, once the edge has ended it. */
function ended(answer: AnyAnswer, text: string): string {
  const { format } = answer;
  const reader = new MarkReader();
  reader.push(bytesOf(text));
  const { end, last } = reader;
  const known = { ...endOf(answer), usage: last!.usage };
  if (!format.stream)
    return `${objectLine(text)!.slice(0, -1)},${JSON.stringify(endMembers(format, known)).slice(1)}`;
  const output = new OutputItems();
  output.push(bytesOf(text));
  return withoutMarks(text) + streamEnding(format).end(known, end!.tail, output.items);
}

const marksIn = (text: string) =>
  text.split('\n').flatMap((line) => {
    const read = readLine(line);
    return read !== null && 'mark' in read ? [read.mark] : [];
  });

describe('a ready answer', () => {
  it("is the dialect's own, whatever was paid for when, and however chunks came together", () => {
    fc.assert(
      fc.property(
        anyAnswer(),
        fc.array(
          fc.record({ together: fc.integer({ min: 1, max: 4 }), held: fc.nat(300), alive: fc.boolean() }),
        ),
        (answer, steps) => {
          // As it comes from the edge: JSON, read by the schema.
          const format = AnswerFormat.parse(JSON.parse(JSON.stringify(answer.format)));
          const ready = new ReadyAnswer(format, { held_nano_usd: 0, price: PRICE }, NOW_MS - 9_000);
          const chunks = structuredClone([...answer.chunks]);
          let text = '';
          for (const { together, held, alive } of steps) {
            text += ready.take(chunks.splice(0, together), NOW_MS - 5_000);
            text += ready.extend(held, NOW_MS - 4_000);
            if (alive && text !== '') text += ready.alive(NOW_MS - 3_000, format.dialect !== 'responses');
          }
          text += ready.take(chunks, NOW_MS - 2_000);
          text += ready.extend(costOf(usageOf(answer.chunks)), NOW_MS - 1_000);
          text += ready.finish('finished', { generated: usageOf(answer.chunks), nowMs: NOW_MS });
          expect(ended({ ...answer, format }, text)).toBe(formatted({ ...answer, format }));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

const ANY_FORMAT = fc.constantFrom(...plainFormats(true), ...plainFormats(false));
/** Ten tokens of prompt, three of them cached. */
const PROMPT_COST = 3 * PRICE.cache_hit + 7 * PRICE.cache_miss;

describe('money', () => {
  it('lets as much leave as is held, to the token, whether the hold grows or shrinks', () => {
    fc.assert(
      fc.property(
        ANY_FORMAT,
        fc.array(fc.record({ tokens: fc.nat(5), held: fc.nat(PROMPT_COST + 150) })),
        (format, steps) => {
          const ready = new ReadyAnswer(format, { held_nano_usd: 0, price: PRICE }, NOW_MS);
          let [taken, left, may] = [0, 0, 0];
          const pays = (nanoUsd: number) => Math.floor((nanoUsd - PROMPT_COST) / PRICE.output);
          const spent = () => (left === 0 ? 0 : PROMPT_COST + left * PRICE.output);
          for (const { tokens, held } of steps) {
            const chunks = Array.from({ length: tokens }, (_, at) => textChunk('x', taken + at + 1));
            const marks = marksIn(ready.take(chunks, NOW_MS) + ready.extend(held, NOW_MS));
            taken += tokens;
            left = Math.max(left, Math.min(taken, pays(may)));
            may = Math.max(held, spent());
            left = Math.max(left, Math.min(taken, pays(may)));
            expect(ready.delivered.completion_tokens).toBe(left);
            expect(ready.isWaiting).toBe(left < taken);
            expect(ready.heldNanoUsd).toBe(may);
            expect(spent()).toBeLessThanOrEqual(may);
            if (left < taken) expect(marks.at(-1)).toMatchObject({ waiting: left + 1 });
          }
        },
      ),
    );
  });

  it.each(plainFormats(true))('tells at once of what waits, with its prompt: $dialect', (format) => {
    const ready = new ReadyAnswer(format, { held_nano_usd: PROMPT_COST, price: PRICE }, NOW_MS);
    expect(ready.take([textChunk('Hi', 2)], NOW_MS + 30)).toBe(': u 10,3,0,0,0,30,2\n\n');
    // It has told so; only a keep-alive repeats it.
    expect(ready.take([textChunk(' you', 3)], NOW_MS + 40)).toBe('');
    const released = ready.extend(PROMPT_COST + 20, NOW_MS + 50);
    expect(withoutMarks(released)).toContain('Hi');
    expect(released).not.toContain(' you');
    expect(marksIn(released)).toMatchObject([{ usage: { completion_tokens: 2 }, ms: 50, waiting: 3 }]);
  });

  it('tells at once of what waits behind what has just left', () => {
    for (const format of [...plainFormats(true), ...plainFormats(false)]) {
      const ready = new ReadyAnswer(format, { held_nano_usd: PROMPT_COST + 10, price: PRICE }, NOW_MS);
      ready.take([textChunk('Hi', 1)], NOW_MS);
      expect(marksIn(ready.take([textChunk(' you', 2)], NOW_MS))).toMatchObject([{ waiting: 2 }]);
    }
  });

  it.each([...plainFormats(true), ...plainFormats(false)])(
    'drops what still waits when the answer is stopped: $dialect, streamed: $stream',
    (format) => {
      const ready = new ReadyAnswer(format, { held_nano_usd: PROMPT_COST + 10, price: PRICE }, NOW_MS);
      const text =
        ready.take([textChunk('Hello', 1), textChunk('unpaid', 2)], NOW_MS) +
        ready.finish('aborted', { generated: textChunk('', 2).usage, nowMs: NOW_MS });
      expect(text).toContain('Hello');
      expect(text).not.toContain('unpaid');
      const reader = new MarkReader();
      reader.push(bytesOf(text));
      expect(reader.last).toMatchObject({ usage: { completion_tokens: 1 }, waiting: null });
      expect(reader.end).toMatchObject({ ended: 'aborted', generated: { completion_tokens: 2 } });
    },
  );

  it('has no bound without a budget', () => {
    const ready = new ReadyAnswer(plainFormats(true)[0]!, null, NOW_MS);
    expect(ready.take([textChunk('Hi', 1_000_000)], NOW_MS)).toContain('Hi');
    expect(ready.isWaiting).toBe(false);
  });
});

describe('a mark', () => {
  it('stands behind each text, with its usage, the events so far and the time since the request', () => {
    fc.assert(
      fc.property(anyAnswer({ stream: true }), ({ format, chunks }) => {
        const ready = new ReadyAnswer(format, null, NOW_MS);
        let events = 0;
        chunks.forEach((chunk, index) => {
          const text = ready.take([structuredClone(chunk)], NOW_MS + index);
          if (text === '') return;
          events += withoutMarks(text).split('\n\n').length - 1;
          expect(text.slice(withoutMarks(text).length)).toMatch(/^: u [^\n]+\n\n$/);
          expect(marksIn(text)).toEqual([{ usage: chunk.usage, events, ms: index, waiting: null }]);
        });
      }),
    );
  });

  const thought = (tokens: number): NodeChunk => ({
    choices: [{ index: 0, delta: { reasoning_content: 'Hm.' }, finish_reason: null }],
    usage: { ...textChunk('', tokens).usage, reasoning_tokens: tokens },
  });

  it.each([...plainFormats(true).filter(({ dialect }) => dialect !== 'completions'), ...plainFormats(false)])(
    'comes with the first token, then once a second or 256 tokens, where nothing leaves: $dialect',
    (format) => {
      const hidden: AnswerFormat = { ...format, exclude_reasoning: true };
      const ready = new ReadyAnswer(hidden, null, NOW_MS);
      const first = ready.take([thought(1)], NOW_MS);
      expect(marksIn(first)).toHaveLength(1);
      expect(ready.take([thought(256)], NOW_MS + 999)).toBe('');
      expect(marksIn(ready.take([thought(257)], NOW_MS + 999))).toHaveLength(1);
      expect(ready.take([thought(258)], NOW_MS + 1_998)).toBe('');
      expect(marksIn(ready.take([thought(259)], NOW_MS + 1_999))).toHaveLength(1);
    },
  );

  it('never goes down, as usage does not', () => {
    const ready = new ReadyAnswer(plainFormats(true)[0]!, null, NOW_MS);
    ready.take([textChunk('a', 5)], NOW_MS);
    expect(marksIn(ready.take([textChunk('b', 4)], NOW_MS))).toMatchObject([
      { usage: { completion_tokens: 5 } },
    ]);
  });
});

describe('a keep-alive', () => {
  it.each(plainFormats(true))(
    'is a comment with a fresh mark, and no part of the answer: $dialect',
    (format) => {
      const ready = new ReadyAnswer(format, null, NOW_MS);
      ready.take([textChunk('Hi', 1)], NOW_MS);
      const comment = ready.alive(NOW_MS + 5_000, false);
      expect(comment).toMatch(/^: keep-alive\n\n: u 10,3,1,0,\d,5000\n\n$/);
      const sign = ready.alive(NOW_MS + 6_000, true);
      expect(sign).toMatch(/^: keep-alive\n(event|data): /);
      expect(withoutMarks(comment + sign)).toBe('');
      expect(marksIn(sign)[0]!.events).toBe(marksIn(comment)[0]!.events + 1);
    },
  );

  it('has no event before the answer has one', () => {
    for (const format of plainFormats(true)) {
      const ready = new ReadyAnswer(format, null, NOW_MS);
      expect(ready.alive(NOW_MS, true)).toBe(': keep-alive\n\n: u 0,0,0,0,0,0\n\n');
    }
  });

  it('is a mark in a whole answer', () => {
    const ready = new ReadyAnswer(plainFormats(false)[0]!, null, NOW_MS);
    expect(ready.alive(NOW_MS, true)).toBe(': u 0,0,0,0,0,0\n');
  });
});

describe('an answer that fails', () => {
  it.each([...plainFormats(true), ...plainFormats(false)])(
    'ends with the error and closes nothing: $dialect, streamed: $stream',
    (format) => {
      const error = { code: 'engine_failed', message: 'The engine failed.' } as const;
      const ready = new ReadyAnswer(format, null, NOW_MS);
      ready.take([textChunk('Hi', 1)], NOW_MS);
      const text = ready.fail(error, { generated: textChunk('', 2).usage, nowMs: NOW_MS });
      expect(text.split('\n').filter((line) => line !== '' && !line.startsWith(':'))).toEqual([]);
      const reader = new MarkReader();
      reader.push(bytesOf(text));
      expect(reader.last!.usage.completion_tokens).toBe(1);
      expect(reader.end).toEqual({ ended: 'failed', error, generated: textChunk('', 2).usage, tail: {} });
    },
  );
});

describe('a streamed response', () => {
  it('is numbered through, also across signs of life, and stored as its last event has it', () => {
    fc.assert(
      fc.property(anyAnswer({ stream: true }), (answer) => {
        const { format } = answer;
        fc.pre(format.dialect === 'responses');
        if (format.dialect !== 'responses') return;
        const ready = new ReadyAnswer(format, null, NOW_MS);
        const generated = usageOf(answer.chunks);
        const text =
          ready.take(structuredClone([...answer.chunks]), NOW_MS) +
          ready.alive(NOW_MS, true) +
          ready.finish('finished', { generated, nowMs: NOW_MS });
        const reader = new MarkReader();
        reader.push(bytesOf(text));
        const output = new OutputItems();
        output.take(text);
        const { tail } = reader.end!;
        const response = finishedResponse(format, endOf(answer), tail, output.items);
        const last = streamEnding(format).end(endOf(answer), tail, output.items);
        const numbers = [...(text + last).matchAll(/^data: \{"type":"[a-z_.]+","sequence_number":(\d+)/gm)];
        expect(numbers.map(([, number]) => Number(number))).toEqual(numbers.map((_, index) => index));
        expect(JSON.parse(last.split('\ndata: ')[1]!).response).toEqual(JSON.parse(JSON.stringify(response)));
      }),
    );
  });
});
