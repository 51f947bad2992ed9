/** The reader of PDF texts that the invoice tests rely on. */
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { drawnIn } from '../../pdf-text.ts';

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** A text whose compressed stream ends in the given byte: the last byte is one of the checksum's, one in some 256. */
function streamEndingIn(lastByte: number): { text: string; bytes: Buffer } {
  for (let i = 0; i < 100_000; i++) {
    const text = `Invoice ${i}`;
    const bytes = deflateSync(`<${Buffer.from(text).toString('hex')}> Tj`);
    if (bytes.at(-1) === lastByte) return { text, bytes };
  }
  throw new Error(`No stream ends in ${lastByte}.`);
}

function pdfOf(streams: readonly Buffer[], lengthOf = (bytes: Buffer) => String(bytes.length)): Buffer {
  const objects = streams.flatMap((bytes, i) => [
    Buffer.from(
      `${i + 1} 0 obj\n<<\n/Filter /FlateDecode\n/Length ${lengthOf(bytes)}\n>>\nstream\n`,
      'latin1',
    ),
    bytes,
    Buffer.from('\nendstream\nendobj\n'),
  ]);
  return Buffer.concat([Buffer.from('%PDF-1.7\n'), ...objects]);
}

describe('the text of a PDF', () => {
  it.each([
    ['a carriage return', CARRIAGE_RETURN],
    ['a line feed', LINE_FEED],
  ])('is read from a stream whose compressed bytes end in %s', (_name, lastByte) => {
    const { text, bytes } = streamEndingIn(lastByte);
    expect(drawnIn(pdfOf([bytes]))).toEqual([text]);
  });

  it('is read from all streams in their order', () => {
    const streams = [streamEndingIn(CARRIAGE_RETURN), streamEndingIn(LINE_FEED)];
    expect(drawnIn(pdfOf(streams.map(({ bytes }) => bytes)))).toEqual(streams.map(({ text }) => text));
  });

  it('is refused where a stream cannot be inflated or its length is wrong', () => {
    const { bytes } = streamEndingIn(CARRIAGE_RETURN);
    const broken = Buffer.from(bytes);
    broken[2]! ^= 0xff;
    expect(() => drawnIn(pdfOf([broken]))).toThrow();
    expect(() => drawnIn(pdfOf([bytes], ({ length }) => String(length - 5)))).toThrow('does not end');
    expect(() => drawnIn(pdfOf([bytes], () => '7 0 R'))).toThrow('no direct length');
  });
});
