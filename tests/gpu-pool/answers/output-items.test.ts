/** The items of a streamed response are found in its events, however the bytes were cut. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OutputItems } from '../../../gpu-pool/answers/output-items.ts';
import { ReadyAnswer } from '../../../gpu-pool/answers/ready-answer.ts';
import { anyAnswer, usageOf } from './any-answer.ts';

it('are those that the events of finished items have', () => {
  fc.assert(
    fc.property(anyAnswer({ stream: true }), fc.integer({ min: 1, max: 200 }), ({ format, chunks }, size) => {
      fc.pre(format.dialect === 'responses');
      const ready = new ReadyAnswer(format, null, 0);
      const text =
        chunks.map((chunk) => ready.take([structuredClone(chunk)], 1)).join('') +
        ready.finish('finished', { generated: usageOf(chunks), nowMs: 2 });
      const bytes = new TextEncoder().encode(text);
      const items = new OutputItems();
      for (let at = 0; at < bytes.length; at += size) items.push(bytes.subarray(at, at + size));
      const done = text
        .split('\n\n')
        .filter((block) => block.startsWith('event: response.output_item.done\n'))
        .map((block) => JSON.parse(block.split('\ndata: ')[1]!).item);
      expect(items.items.map((item) => JSON.parse(item))).toEqual(done);
    }),
  );
});
