/** The edge's rule of schemas against what a real SGLang and its xgrammar did with them (tests/engine/schemas/). */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { schemaFault } from '../../gpu-pool/protocol/json-schema/index.ts';
import { KEYWORDS } from '../../gpu-pool/protocol/json-schema/keywords.ts';
import { samples } from '../engine/schemas/samples.ts';

const FOLDER = 'tests/engine/schemas';
const casesText = readFileSync(`${FOLDER}/cases.jsonl`, 'utf8');
const cases = casesText
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line) as { schema: unknown; texts: string[] });

interface Recording {
  sglang: string;
  xgrammar: string;
  cases_sha256: string;
  verdicts: string[];
  samples: string;
}
const recordings = readdirSync(`${FOLDER}/recorded`).map(
  (name) => JSON.parse(readFileSync(`${FOLDER}/recorded/${name}`, 'utf8')) as Recording,
);
/** The version that is recommended, with the xgrammar that it pins and with the newest. */
const newest = recordings.filter(({ sglang }) => sglang === '0.5.23');

describe('the recordings', () => {
  it('are of these cases', () => {
    const sha256 = createHash('sha256').update(casesText).digest('hex');
    expect(newest.map(({ xgrammar }) => xgrammar).sort()).toEqual(['0.2.7', '0.2.9']);
    for (const { cases_sha256, verdicts } of recordings) {
      expect(cases_sha256, 'run tests/engine/schemas/record.py again').toBe(sha256);
      expect(verdicts).toHaveLength(cases.length);
    }
  });

  it('have a case of every keyword in the table', () => {
    const missing = Object.keys(KEYWORDS).filter((name) => !casesText.includes(`"${name}":`));
    expect(missing).toEqual([]);
  });
});

it('the documentation has every keyword with its effect', () => {
  const page = readFileSync('docs/structured-output.md', 'utf8');
  const documented = [...page.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, name, effect]) => [
    name,
    effect,
  ]);
  expect(documented).toEqual(Object.entries(KEYWORDS).map(([name, { effect }]) => [name, effect]));
});

describe('a schema', () => {
  it('of a tool is refused where SGLang refuses it', () => {
    const wrong = cases.flatMap(({ schema }, index) => {
      const taken = newest.every(({ verdicts }) => verdicts[index]!.startsWith('T'));
      const fault = schemaFault(schema, 'tool');
      return (fault === null) === taken ? [] : [{ schema, taken, fault }];
    });
    expect(wrong).toEqual([]);
  });

  it('of an answer is refused where the engine refuses it, and otherwise only where it is no valid schema', () => {
    const wrong = cases.flatMap(({ schema }, index) => {
      const taken = newest.every(({ verdicts }) => verdicts[index]![1] === 'F');
      const valid = newest[0]!.verdicts[index]!.startsWith('T');
      const fault = schemaFault(schema, 'format');
      return (fault === null) === taken || (taken && !valid) ? [] : [{ schema, taken, fault }];
    });
    expect(wrong).toEqual([]);
  });
});

/** Cases in which the emulator's answer is none of the engine's, by a part of the schema's JSON, and why that is left so. */
const UNLIKE: Record<string, string> = {
  '"enum":[12345678901234567000]': 'xgrammar 0.2.7 writes constants beyond 2^53 with other digits',
  '"enum":[0.1]': 'xgrammar 0.2.7 writes 0.1 with its 17 digits',
  '"enum":[1e-7]': 'xgrammar 0.2.7 writes it with its 17 digits',
  '"required":["a"],"$defs":{"a":{"type":"object","properties":{"a":{"$ref"': 'no answer ever ends',
  '"minimum":1e-10': 'a sixth decimal is the last that the emulator writes',
  '"exclusiveMaximum":5.0000001': 'no number has so few decimals',
  '"maximum":2e-7': 'no number has so few decimals',
  '"maximum":5.0000002': 'no number has so few decimals',
  '"exclusiveMinimum":9223372036854775000': 'JavaScript has no such number',
  '"pattern":"[^\\\\w\\\\W]"': 'nothing matches',
  '"pattern":"\\\\U0001F600"': 'an escape of eight digits means something else to xgrammar',
  '"pattern":"\\\\cA"': 'control characters as escapes',
  '"pattern":"[\\\\b]"': 'control characters as escapes',
  '"pattern":"\\\\e"': 'control characters as escapes',
  '"pattern":"\\\\a"': 'control characters as escapes',
  '"pattern":"\\\\ud83d': 'halves of surrogate pairs as escapes',
  '{"const":"\u2028': 'xgrammar escapes U+2028',
};

describe('the emulator’s answers', () => {
  const written = readFileSync(`${FOLDER}/samples.jsonl`, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((row) => JSON.parse(row) as [number, string]);

  it('are those that were asked about', () => {
    expect(samples(), 'run tests/engine/schemas/samples.ts, then record.py').toEqual(written);
  });

  it('are such as the real grammar accepts', () => {
    const { samples: verdicts } = newest.find(({ xgrammar }) => xgrammar === '0.2.7')!;
    expect(verdicts).toHaveLength(written.length);
    const refused = written.flatMap(([index, text], at) => {
      const schema = JSON.stringify(cases[index]!.schema);
      const isKnown = Object.keys(UNLIKE).some((part) => schema.includes(part));
      return verdicts[at] === 'y' || isKnown ? [] : [[schema, text]];
    });
    expect(refused).toEqual([]);
  });
});
