/** The input of a free-form tool is the same however a model's arguments were cut, and whatever they are. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CustomInput } from '../../../gpu-pool/answers/custom-input.ts';
import { customArguments } from '../../../worker/gateway/dialects/tools/custom-tool.ts';

function read(chunks: readonly string[]): string {
  const input = new CustomInput();
  const shown = [...chunks.map((chunk) => input.push(chunk)), input.end()].join('');
  expect(shown).toBe(input.text);
  return shown;
}

/** The text cut at these places. */
function cut(text: string, places: readonly number[]): string[] {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...at, text.length].map((end, index) => text.slice(at[index - 1] ?? 0, end));
}

const places = fc.array(fc.nat(), { maxLength: 12 });
const anyText = fc.string({ unit: 'binary' });

describe('the input of a free-form tool', () => {
  it('is what the model wrote, whatever is in it', () => {
    fc.assert(
      fc.property(anyText, places, fc.boolean(), (text, at, isEscaped) => {
        const json = customArguments(text);
        const written = isEscaped ? json.replace(/[^\x20-\x7e]/g, escaped) : json;
        expect(read(cut(written, at))).toBe(text.toWellFormed());
      }),
    );
  });

  it('does not depend on where the arguments are cut, valid or not', () => {
    const pieces = [
      '{',
      '}',
      '"',
      '\\',
      ':',
      ',',
      'input',
      '"input"',
      '\\u00e9',
      '\\ud83d',
      '\\ude00',
      '\\u12',
      '[',
      ']',
      ' ',
      'x',
      '😀',
      '\n',
      'null',
      '1',
    ];
    const garbage = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((list) => list.join(''));
    fc.assert(
      fc.property(fc.oneof(garbage, fc.json(), anyText), places, (json, at) => {
        const whole = read([json]);
        expect(read(cut(json, at))).toBe(whole);
        expect(read([...json])).toBe(whole);
        expect(whole.isWellFormed()).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['{"input": "a\\nb"}', 'a\nb'],
    ['{ "note": {"input": "no", "x": ["]}"]}, "input" : "yes" , "more": 1}', 'yes'],
    ['{"in\\u0070ut":"escaped key"}', 'escaped key'],
    ['{"input":"\\d+ \\u12 \\/"}', '\\d+ \\u12 /'],
    ['{"input":"cut off \\', 'cut off '],
    ['{"input":"\\ud83d\\ude00 \\ud83d"}', '😀 \ufffd'],
    ['"a bare string"', 'a bare string'],
    ['  *** Begin Patch', '*** Begin Patch'],
    ['{"patch":"under another name"}', 'under another name'],
    ['{"input":{"a":1}}', '{"a":1}'],
    ['{"input":null}', ''],
    ['{}', ''],
    ['', ''],
    ['{"a":1,"b":2}', '{"a":1,"b":2}'],
    ['["x"]', '["x"]'],
  ])('of %s', (json, text) => {
    expect(read([json])).toBe(text);
    expect(read([...json])).toBe(text);
  });
});

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
