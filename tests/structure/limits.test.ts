/** docs/limits.md states the limits that the code enforces, row by row. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MAXIMA } from '../../worker/domain/maxima.ts';
import { RATE_RULES, type RateRule } from '../../worker/domain/rate-limit.ts';
import { ROOT } from './imports.ts';

const text = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8');

const WINDOWS: Readonly<Record<number, string>> = {
  60000: 'a minute',
  600000: '10 minutes',
  3600000: 'an hour',
  86400000: 'a day',
};
const SUBJECTS = { email: 'inbox', operator: 'operator token' } as Partial<Record<string, string>>;
const count = (value: number) => value.toLocaleString('en');

function rowOf({ counts, per, count: most, sharedCount, windowMs, whenDown }: RateRule): string {
  const mark = whenDown === 'refuse' ? ' *' : '';
  const shared = sharedCount === undefined ? '' : ` (${count(sharedCount)})`;
  return `| ${counts}${mark} | ${SUBJECTS[per] ?? per} | ${count(most)}${shared} | ${WINDOWS[windowMs]} |`;
}

/** The rows of the table under a heading, without its head. */
function rowsUnder(heading: string): string[] {
  const [, section = ''] = text.split(`## ${heading}\n`);
  return section
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);
}

it('the rate limits are those of the rules', () => {
  expect(rowsUnder('Rate limits')).toEqual(Object.values(RATE_RULES).map(rowOf));
});

it('the maxima are those of the code', () => {
  const rows = Object.values(MAXIMA).map((each) => `| ${each.counts} | ${count(each.count)} |`);
  expect(rowsUnder('The most in all')).toEqual(rows);
});
