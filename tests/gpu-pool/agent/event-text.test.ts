/** The text of server-sent events: read by hand where it can be, it means what the standard's parser makes of it. */
import { createParser } from 'eventsource-parser';
import { expect, it } from 'vitest';
import { EventText } from '../../../gpu-pool/agent/event-text.ts';

const SIMPLE = ['data: {"a":"ä€😀"}\n\n', 'data: b\n\n', 'data: [DONE]\n\n'];
const OTHER = [
  ': a comment\n\n',
  'data: two\ndata: lines\n\n',
  'data:no blank\n\n',
  'data: b\r\n\r\n',
  'event: named\ndata: b\n\n',
  '\n',
  'data: \n\n',
];

function standard(text: string): string[] {
  const events: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => events.push(data) });
  parser.feed(`${text}\n\n`);
  return events;
}

function read(text: string, sizes: readonly number[]): string[] {
  const bytes = Buffer.from(text);
  const reader = new EventText();
  const events: string[] = [];
  let at = 0;
  for (let part = 0; at < bytes.length; part += 1) {
    const size = sizes[part % sizes.length]!;
    events.push(...reader.feed(bytes.subarray(at, at + size)));
    at += size;
  }
  expect(reader.broken).toBe(false);
  return [...events, ...reader.end()];
}

/** Every text of two parts of either form, around one that is read by hand. */
const texts = [...SIMPLE, ...OTHER].flatMap((first) =>
  [...SIMPLE, ...OTHER].map((last) => `${first}data: between\n\n${last}`),
);

it.each([[[1]], [[2]], [[3, 1, 7]], [[64, 5]], [[10_000]]])(
  'means the same in reads of %j bytes',
  (sizes) => {
    for (const text of texts) expect(read(text, sizes), JSON.stringify(text)).toEqual(standard(text));
  },
);

it.each(['data: torn', 'data: torn\n', 'data'])('a last event may lack its end: %j', (last) => {
  const text = `data: a\n\n${last}`;
  expect(read(text, [4])).toEqual(standard(text));
});

it.each(['<html>\n', 'x'.repeat(2 << 20), `data: ${'x'.repeat(2 << 20)}`])(
  'that is none is broken',
  (text) => {
    const reader = new EventText();
    expect(reader.feed(Buffer.from(text))).toEqual([]);
    expect(reader.broken).toBe(true);
  },
);
