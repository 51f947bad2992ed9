/** The edge's rule of schemas against what a real SGLang and its xgrammar did with them (tests/engine/schemas/). */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { schemaFault } from '../../gpu-pool/protocol/json-schema/index.ts';
import { KEYWORDS } from '../../gpu-pool/protocol/json-schema/keywords.ts';

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
