/** Every flag of a recipe does something: tests/engine/flags/check.py looked for its readers in SGLang's wheels. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LEFT_OUT } from '../../../gpu-pool/recipes/flags.ts';
import { allFlags } from '../../engine/flags/list.ts';

interface Checked {
  sglang: string;
  flags: Record<string, { attribute: string | null; reads: number; at: string | null }>;
}
const FOLDER = 'tests/engine/flags/checked';
const checked = readdirSync(FOLDER).map(
  (name) => JSON.parse(readFileSync(`${FOLDER}/${name}`, 'utf8')) as Checked,
);
const leftOut = new Set<string>(LEFT_OUT.map(({ name }) => name));

it('both versions of the engine have been checked', () => {
  expect(checked.map(({ sglang }) => sglang).sort()).toEqual(['0.5.20', '0.5.23']);
});

describe.each(checked)('SGLang $sglang', ({ flags }) => {
  it('has been asked about every flag', () => {
    expect(Object.keys(flags).sort(), 'run tests/engine/flags/check.py').toEqual(allFlags());
  });

  it('declares and reads every flag that is set', () => {
    const idle = allFlags().filter((name) => !leftOut.has(name) && !flags[name]?.reads);
    expect(idle).toEqual([]);
  });

  it('reads nothing of the flag that is left out because nothing does', () => {
    expect(flags['--num-continuous-decode-steps']).toEqual({
      attribute: 'num_continuous_decode_steps',
      reads: 0,
      at: null,
    });
  });
});
