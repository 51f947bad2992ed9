/**
 * The table of docs/security/asvs.md: it answers every requirement of its chapters, each answer that says `met` names tests
 * that exist, and the shares that are met are those which the page promises.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { expect, it } from 'vitest';
import { ASVS_REQUIREMENTS } from './asvs-requirements.ts';
import { ROOT } from './imports.ts';

const PAGE = 'docs/security/asvs.md';

interface Row {
  readonly id: string;
  readonly level: string;
  readonly state: string;
  readonly how: string;
  readonly heldBy: string;
}

const text = readFileSync(join(ROOT, PAGE), 'utf8');
const rows = text
  .split('\n')
  .filter((line) => /^\| \d+\.\d+\.\d+ \|/.test(line))
  .map((line): Row => {
    const [id = '', level = '', state = '', how = '', heldBy = ''] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    return { id, level, state, how, heldBy };
  });

it('answers every requirement of its chapters once, at its level', () => {
  const answered = (level: string) => rows.filter((row) => row.level === level).map(({ id }) => id);
  expect(answered('L1')).toEqual(ASVS_REQUIREMENTS.L1);
  expect(answered('L2')).toEqual(ASVS_REQUIREMENTS.L2);
});

it.each(rows)('$id is $state, and names tests that exist', ({ state, how, heldBy }) => {
  expect(['met', 'not applicable', 'open']).toContain(state);
  expect(how.length).toBeGreaterThan(10);
  const links = [...heldBy.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)];
  if (state === 'met') expect(links.length).toBeGreaterThan(0);
  for (const [, name, path] of links) {
    const file = join(ROOT, normalize(join('docs/security', path!)));
    expect(existsSync(file), path).toBe(true);
    expect(path).toMatch(/\.test\.ts$/);
    // A name in the source may be escaped or hold placeholders, so the words are compared without marks.
    const plain = (text: string) => text.replaceAll(/[\\'’`*]/g, '');
    expect(plain(readFileSync(file, 'utf8')), path).toContain(plain(name!));
  }
});

it('meets all of level 1 and at least 95 % of level 2, as far as they apply', () => {
  const share = (level: string) => {
    const applicable = rows.filter((row) => row.level === level && row.state !== 'not applicable');
    return applicable.filter(({ state }) => state === 'met').length / applicable.length;
  };
  const counted = (level: string) => {
    const applicable = rows.filter((row) => row.level === level && row.state !== 'not applicable');
    return `| ${level} | ${applicable.length} | ${applicable.filter(({ state }) => state === 'met').length} |`;
  };
  for (const level of ['L1', 'L2']) expect(text).toContain(counted(level));
  expect(share('L1')).toBe(1);
  expect(share('L2')).toBeGreaterThanOrEqual(0.95);
});
