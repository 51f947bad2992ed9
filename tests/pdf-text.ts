/** Reads the text of the PDFs that the Worker makes: hex strings in compressed streams, in drawing order. */
import { inflateSync } from 'node:zlib';

/** A stream's dictionary and the keyword that its bytes follow (ISO 32000-1, 7.3.8.1). */
const STREAM_HEAD = /\bobj\s*(<<(?:(?!endobj)[\s\S])*?>>)\s*stream\r?\n/g;

/** @throws Error when a stream's length is indirect or wrong, or when its bytes cannot be inflated */
export function drawnIn(pdf: Uint8Array): string[] {
  const windows1252 = new TextDecoder('windows-1252');
  return [
    ...streamsOf(Buffer.from(pdf))
      .join('\n')
      .matchAll(/<([0-9A-Fa-f]+)> Tj/g),
  ].map(([, hex]) => windows1252.decode(Buffer.from(hex!, 'hex')));
}

/**
 * The decoded streams as Latin-1 text. Their ends are found by /Length: compressed bytes may end in a carriage return
 * or a line feed, which must not be taken for the line break before `endstream`.
 */
function streamsOf(pdf: Buffer): string[] {
  const text = pdf.toString('latin1');
  const streams: string[] = [];
  const heads = new RegExp(STREAM_HEAD);
  for (let head = heads.exec(text); head !== null; head = heads.exec(text)) {
    const dictionary = head[1]!;
    const length = /\/Length\s+(\d+)(\s+\d+\s+R)?/.exec(dictionary);
    if (!length || length[2]) throw new Error(`A stream has no direct length: ${dictionary}`);
    const start = head.index + head[0].length;
    const end = start + Number(length[1]);
    if (!/^\s*endstream/.test(text.slice(end, end + 20)))
      throw new Error(`A stream does not end after its length: ${dictionary}`);
    const bytes = pdf.subarray(start, end);
    streams.push((dictionary.includes('/FlateDecode') ? inflateSync(bytes) : bytes).toString('latin1'));
    heads.lastIndex = end;
  }
  return streams;
}
