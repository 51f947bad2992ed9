/** What the agent says within an answer is read however its bytes are cut, and nobody else can say it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MarkReader } from '../../../gpu-pool/answers/mark-reader.ts';
import {
  type EndLine,
  endLine,
  type Mark,
  markLine,
  objectLine,
  readLine,
  withoutMarks,
} from '../../../gpu-pool/answers/marks.ts';
import { ReadyAnswer } from '../../../gpu-pool/answers/ready-answer.ts';
import { TOKENS_MAX } from '../../../gpu-pool/protocol/schemas.ts';
import { anyAnswer, usageOf } from './any-answer.ts';

const count = fc.nat(TOKENS_MAX);
const usage = fc
  .record({ prompt: count, cached: fc.nat(100), completion: count, reasoning: fc.nat(100) })
  .map(({ prompt, cached, completion, reasoning }) => ({
    prompt_tokens: prompt,
    cached_tokens: Math.min(cached, prompt),
    completion_tokens: completion,
    reasoning_tokens: Math.min(reasoning, completion),
  }));
const mark: fc.Arbitrary<Mark> = fc.record({
  usage,
  events: fc.nat(),
  ms: fc.nat(),
  waiting: fc.option(count),
});
const end: fc.Arbitrary<EndLine> = fc.oneof(
  fc.record({
    ended: fc.constantFrom('finished' as const, 'aborted' as const),
    generated: usage,
    tail: fc.dictionary(
      fc.string().filter((name) => name !== '__proto__'),
      fc.string({ unit: 'binary' }),
    ),
  }),
  fc.record({
    ended: fc.constant('failed' as const),
    error: fc.record({ code: fc.constant('engine_failed' as const), message: fc.string() }),
    generated: usage,
    tail: fc.constant({}),
  }),
);

describe('a line', () => {
  it('reads as it was written', () => {
    fc.assert(
      fc.property(mark, end, (said, last) => {
        expect(readLine(markLine(said))).toEqual({ mark: said });
        expect(readLine(endLine(last))).toEqual({ end: last });
      }),
    );
  });

  it.each([': keep-alive', ': us', ':u 1,1,1,1,1,1', ': ', ''])('says nothing: %j', (line) => {
    expect(readLine(line)).toBeNull();
  });

  it.each([
    ': u ',
    ': u 1,1,1,1,1',
    ': u 1,1,1,1,1,1,1,1',
    ': u -1,0,0,0,0,0',
    ': u 1.5,0,0,0,0,0',
    ': u 1e3,0,0,0,0,0',
    ': u 1,2,0,0,0,0',
    ': u 1,0,1,2,0,0',
    ': u 1,0,1,0,0,0,',
    ': u 900000000000,0,1,0,0,0',
    ': end ',
    ': end null',
    ': end {',
    ': end {"ended":"over","generated":{},"tail":{}}',
    ': end {"ended":"finished","tail":{}}',
    ': end {"ended":"failed","generated":{"prompt_tokens":0,"cached_tokens":0,"completion_tokens":0,"reasoning_tokens":0},"tail":{}}',
    ': end {"ended":"finished","generated":{"prompt_tokens":0,"cached_tokens":1,"completion_tokens":0,"reasoning_tokens":0},"tail":{}}',
    ': end {"ended":"finished","generated":{"prompt_tokens":0,"cached_tokens":0,"completion_tokens":0,"reasoning_tokens":0},"tail":null}',
  ])('breaks the protocol: %j', (line) => {
    expect(() => readLine(line)).toThrow(RangeError);
    expect(() => new MarkReader().push(new TextEncoder().encode(`${line}\n`))).toThrow(RangeError);
  });
});

/** The bytes in parts that end at `cuts`. */
function parts(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((to, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], to));
}

describe('the reader of marks', () => {
  it('knows after any bytes the last mark and the end among the complete lines', () => {
    const line = fc.oneof(
      mark.map(markLine),
      fc.constantFrom(
        ': keep-alive',
        ':',
        '',
        'data: {"content":"é: u 1"}',
        'event: ping',
        '{"a":": u 1,1,1,1,1,1"}',
      ),
    );
    const cuts = fc.array(fc.nat());
    fc.assert(
      fc.property(fc.array(line), fc.option(end), cuts, fc.boolean(), (begun, last, at, isOneBuffer) => {
        const lines = [...begun, ...(last ? [endLine(last), ': bye', 'data: {}'] : [])];
        const bytes = new TextEncoder().encode(lines.map((each) => `${each}\n`).join(''));
        const reader = new MarkReader();
        let read = 0;
        const buffer = new Uint8Array(bytes.length);
        for (const part of parts(bytes, at)) {
          // The edge reads into one buffer again and again.
          buffer.set(part);
          reader.push(isOneBuffer ? buffer.subarray(0, part.length) : part);
          read += part.length;
          const complete = new TextDecoder().decode(bytes.subarray(0, read)).split('\n').slice(0, -1);
          const said = complete.flatMap((each) => readLine(each) ?? []);
          expect(reader.last).toEqual(
            said.flatMap((each) => ('mark' in each ? [each.mark] : [])).at(-1) ?? null,
          );
          expect(reader.end).toEqual(
            said.flatMap((each) => ('end' in each ? [each.end] : [])).at(-1) ?? null,
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reads any answer as its agent meant it, whatever the model writes', () => {
    fc.assert(
      fc.property(anyAnswer(), fc.array(fc.nat(), { maxLength: 20 }), ({ format, chunks }, cuts) => {
        const ready = new ReadyAnswer(format, null, 0);
        const generated = usageOf(chunks);
        const text =
          chunks.map((chunk) => ready.take([structuredClone(chunk)], 1)).join('') +
          ready.finish('finished', { generated, nowMs: 2 });
        const reader = new MarkReader();
        for (const part of parts(new TextEncoder().encode(text), cuts)) reader.push(part);
        expect(reader.last).toMatchObject({ usage: generated, ms: 2 });
        expect(reader.end).toMatchObject({ ended: 'finished', generated });
      }),
    );
  });

  it('does not keep a line without an end for ever', () => {
    const reader = new MarkReader();
    const long = new Uint8Array(1 << 19).fill(58);
    reader.push(long);
    reader.push(long);
    expect(() => reader.push(long)).toThrow(RangeError);
    // That of a model may be of any length: it is not kept.
    const other = new MarkReader();
    other.push(new TextEncoder().encode('data: '));
    for (let part = 0; part < 4; part++) other.push(long);
    expect(other.last).toBeNull();
  });
});

describe('a replay', () => {
  it('leaves out what the agent says to the edge, and nothing else', () => {
    const said = fc.oneof(
      mark.map((each) => ({ text: `${markLine(each)}\n\n`, isOurs: true })),
      fc.constant({ text: ': keep-alive\nevent: ping\ndata: {"type":"ping"}\n\n', isOurs: true }),
      fc.string({ unit: 'binary' }).map((content) => ({
        text: `event: a\ndata: ${JSON.stringify({ content })}\n\n`,
        isOurs: false,
      })),
    );
    fc.assert(
      fc.property(fc.array(said), (blocks) => {
        const kept = blocks.filter(({ isOurs }) => !isOurs);
        const text = (list: typeof blocks) => list.map((each) => each.text).join('');
        expect(withoutMarks(text(blocks))).toBe(text(kept));
      }),
    );
  });

  it('of a whole answer has the object', () => {
    expect(objectLine(': u 1,0,1,0,0,5\n{"id":"a\\n: u"}\n: end {}\n')).toBe('{"id":"a\\n: u"}');
    expect(objectLine(': u 1,0,1,0,0,5\n')).toBeNull();
  });
});
