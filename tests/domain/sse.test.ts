import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseDecoder, sseEvent } from '../../worker/domain/sse.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

function decode(pieces: readonly Uint8Array[]): string[] {
  const decoder = new SseDecoder();
  return pieces.flatMap((piece) => decoder.push(piece));
}

/** The library that most clients use reads the same. */
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

  it('reads the same cut in two at any byte', () => {
    const whole = bytes(STREAM);
    for (let cut = 0; cut <= whole.length; cut++) {
      expect(decode([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(oracle(STREAM));
    }
  });

  it('reads the same byte by byte', () => {
    expect(decode([...bytes(STREAM)].map((byte) => Uint8Array.of(byte)))).toEqual(oracle(STREAM));
  });

  it('reads anything as the oracle reads it, in any line ending', () => {
    const line = fc.oneof(
      fc.string({ unit: 'grapheme' }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
      fc.constantFrom('', '', ': comment', 'event: x', 'data:', 'data', 'retry: 5', 'datax: 1'),
    );
    const stream = fc
      .tuple(fc.array(line), fc.constantFrom('\n', '\r\n'))
      .map(([lines, end]) => `${lines.join(end)}${end}${end}`);
    fc.assert(
      fc.property(
        stream.filter((text) => !/^data(\r?\n|$)/m.test(text)),
        fc.nat(),
        (text, at) => {
          const whole = bytes(text);
          const cut = whole.length === 0 ? 0 : at % whole.length;
          expect(decode([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(oracle(text));
        },
      ),
    );
  });

  it('gives nothing for an event that was cut off', () => {
    expect(decode([bytes('data: half')])).toEqual([]);
    expect(decode([bytes('data: one line\n')])).toEqual([]);
  });

  it('refuses a line without an end', () => {
    const decoder = new SseDecoder();
    expect(() => decoder.push(bytes(`data: ${'x'.repeat(2 ** 20)}`))).toThrow(RangeError);
  });

  it('writes what it reads', () => {
    expect(decode([bytes(sseEvent('{"a":1}'))])).toEqual(['{"a":1}']);
  });
});
