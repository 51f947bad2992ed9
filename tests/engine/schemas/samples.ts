/**
 * Answers of the emulator to every schema of cases.jsonl that the engine takes: a line `[case, text]` each. `node
 * tests/engine/schemas/samples.ts > tests/engine/schemas/samples.jsonl`, then record.py asks the real grammar about each.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { jsonSample } from '../../../gpu-pool/emulator/json-sample.ts';
import { formatFault } from '../../../gpu-pool/emulator/schema-check.ts';

/** The samples of each schema with these draws. */
const DRAWS = [0, 0.45, 0.99];
/** Longer ones, of counts in the thousands, would make the fixture large. */
const LENGTH_MAX = 300;

export function samples(): [number, string][] {
  const text = readFileSync(new URL('cases.jsonl', import.meta.url), 'utf8');
  const cases = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { schema: unknown });
  return cases.flatMap(({ schema }, index) => {
    if (formatFault(schema) !== null) return [];
    const texts = DRAWS.map((draw) => jsonSample(schema, () => draw));
    return [...new Set(texts)]
      .filter(({ length }) => length <= LENGTH_MAX)
      .map((sampled): [number, string] => [index, sampled]);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const line of samples()) console.log(JSON.stringify(line));
