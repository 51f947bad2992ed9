/** What a PDF of ours says: hex strings in compressed streams, in the order in which they are drawn. */
import { inflateSync } from 'node:zlib';

export function drawnIn(pdf: Buffer): string[] {
  const streams = [...pdf.toString('latin1').matchAll(/stream\r?\n([\s\S]*?)\r?\nendstream/g)].map(
    ([, body]) => {
      try {
        return inflateSync(Buffer.from(body!, 'latin1')).toString('latin1');
      } catch {
        return '';
      }
    },
  );
  const windows1252 = new TextDecoder('windows-1252');
  return [...streams.join('\n').matchAll(/<([0-9A-Fa-f]+)> Tj/g)].map(([, hex]) =>
    windows1252.decode(Buffer.from(hex!, 'hex')),
  );
}
