import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sseEvent } from '../../gpu-pool/answers/formatter.ts';
import { SseDecoder } from '../../worker/domain/sse.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

function decode(chunks: readonly Uint8Array[]): string[] {
  const decoder = new SseDecoder();
  return chunks.flatMap((chunk) => decoder.push(chunk));
}

/** The reference: the parser library that most clients use. */
function oracle(text: string): string[] {
  const events: string[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event.data) });
  parser.feed(text);
  return events;
}

const STREAM = `: a comment\n\nevent: message\ndata: {"text":"héllo 中文 🚀"}\n\ndata:no space\r\n\r\nid: 7\rdata: two\rdata: lines\r\rdata: [DONE]\n\n`;

describe('an event stream', () => {
  it('is read as the oracle reads it', () => {
    expect(decode([bytes(STREAM)])).toEqual(oracle(STREAM));
    expect(decode([bytes(STREAM)])).toEqual(['{"text":"héllo 中文 🚀"}', 'no space', 'two\nlines', '[DONE]']);
  });

  it('reads the same when cut in two at any byte', () => {
    const whole = bytes(STREAM);
    for (let cut = 0; cut <= whole.length; cut++) {
      expect(decode([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(oracle(STREAM));
    }
  });

  it('reads the same byte by byte', () => {
    expect(decode([...bytes(STREAM)].map((byte) => Uint8Array.of(byte)))).toEqual(oracle(STREAM));
  });

  it('reads anything as the oracle reads it, in any mixture of line endings, cut anywhere', () => {
    const line = fc.oneof(
      fc.string({ unit: 'grapheme' }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
      fc.string({ unit: 'binary' }).map((text) => text.replace(/[\r\n]/g, '')),
      fc.constantFrom(
        '',
        '',
        ': comment',
        ':',
        'event: x',
        'data:',
        'data',
        'data :',
        'retry: 5',
        'datax: 1',
        ' data: x',
      ),
      fc.constantFrom(
        'data:  two blanks',
        'data:\tx',
        'DATA: x',
        'data: \u2028 \u2029 \u0085',
        'data:\uFEFFx',
      ),
    );
    const end = fc.constantFrom('\n', '\r\n', '\r');
    const stream = fc.tuple(fc.boolean(), fc.array(fc.tuple(line, end)), fc.constantFrom('', '\n\n', '\r\r'));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400)), ([mark, lines, last], at) => {
        const text = lines.map((each) => each.join('')).join('') + last;
        const whole = bytes((mark ? '\uFEFF' : '') + text);
        const cuts = [0, ...at.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
        const chunks = cuts.slice(1).map((cut, i) => whole.subarray(cuts[i], cut));
        expect(decode(chunks)).toEqual(oracle(text.toWellFormed()));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['a byte order mark', '\uFEFFdata: x\n\n', ['x']],
    ['data without a colon', 'data\n\n', ['']],
    ['data without a colon between others', 'data: a\ndata\ndata: b\n\n', ['a\n\nb']],
    ['data without a value', 'data:\n\n', ['']],
    ['comments only', ': keep-alive\n\n: keep-alive\n\n', []],
    ['comments within an event', 'data: a\n: keep-alive\ndata: b\n\n', ['a\nb']],
    ['no final newline', 'data: a\n\ndata: b\n', ['a']],
    ['CR alone', 'data: a\r\rdata: b\r\r', ['a', 'b']],
  ])('with %s is read as the standard says, cut at every byte', (_, text, expected) => {
    const whole = bytes(text);
    for (let cut = 0; cut <= whole.length; cut++) {
      expect(decode([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(expected);
    }
  });

  it('yields nothing for an event that was cut off', () => {
    expect(decode([bytes('data: half')])).toEqual([]);
    expect(decode([bytes('data: one line\n')])).toEqual([]);
  });

  it('refuses a line without an end', () => {
    const decoder = new SseDecoder();
    expect(() => decoder.push(bytes(`data: ${'x'.repeat(2 ** 20)}`))).toThrow(RangeError);
  });

  it('refuses an event without an end, however short its lines, and counts each event separately', () => {
    const lines = bytes(`data: ${'x'.repeat(1_000)}\n`.repeat(500));
    const decoder = new SseDecoder();
    const push = () => decoder.push(lines);
    push();
    push();
    expect(push).toThrow(RangeError);
    const proper = new SseDecoder();
    for (let event = 0; event < 5; event++) {
      proper.push(lines);
      expect(proper.push(bytes('\n'))).toHaveLength(1);
    }
  });

  it('is written so that the clients’ library reads it, cut at every byte, with comments between', () => {
    const anyValues = fc.array(fc.jsonValue({ stringUnit: 'binary' }), { maxLength: 4 });
    fc.assert(
      fc.property(anyValues, (values) => {
        const data = [...values.map((value) => JSON.stringify(value)), '[DONE]'];
        const whole = bytes(data.map((each) => `: keep-alive\n\n${sseEvent(each)}`).join(''));
        for (let cut = 0; cut <= whole.length; cut++) {
          const utf8 = new TextDecoder();
          const seen: string[] = [];
          const parser = createParser({ onEvent: (event) => seen.push(event.data) });
          for (const chunk of [whole.subarray(0, cut), whole.subarray(cut)])
            parser.feed(utf8.decode(chunk, { stream: true }));
          expect(seen).toEqual(data);
        }
      }),
      { numRuns: 30 },
    );
  });
});
