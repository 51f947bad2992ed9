import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { SHIPPED_MODELS } from '../../worker/portal/operator/shipped-models.ts';

const FOLDER = 'gpu-pool/models';
const files = readdirSync(FOLDER);

describe('the model profiles that are shipped', () => {
  it.each(files)('%s is a whole profile and nothing else', (file) => {
    const parsed = ModelProfile.safeParse(JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8')));
    expect(parsed.error?.issues).toBeUndefined();
  });
});

it('the console offers every profile that is shipped, and each by the id of its file', () => {
  const shipped = files.map((file) => [
    file.replace(/\.json$/, ''),
    JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8')),
  ]);
  expect(SHIPPED_MODELS).toEqual(Object.fromEntries(shipped));
});

describe('a profile that contradicts itself, or that a client could hold the edge up with', () => {
  const profile = JSON.parse(readFileSync(`${FOLDER}/gpt-oss-120b.json`, 'utf8'));
  const effort = { variable: 'reasoning_effort', levels: ['low', 'high'], byDefault: 'low' };
  const switchable = { mode: 'switchable', byDefault: true, variable: 'enable_thinking' };
  const isTaken = (change: object) => ModelProfile.safeParse({ ...profile, ...change }).success;

  it('is refused', () => {
    expect(isTaken({ thinking: { ...switchable, effort } })).toBe(true);
    expect(isTaken({ thinking: { ...switchable, variable: 'reasoning_effort', effort } })).toBe(false);
    expect(isTaken({ thinking: { ...switchable, effort: { ...effort, levels: ['low', 'low'] } } })).toBe(
      false,
    );
    expect(isTaken({ thinking: { mode: 'never', effort } })).toBe(false);
    expect(isTaken({ controlTokens: ['<|*|>'] })).toBe(true);
    // With these, 2,000 characters of a client took nine seconds.
    expect(isTaken({ controlTokens: ['<!*!*!*!*!*!>'] })).toBe(false);
    expect(isTaken({ controlTokens: ['<|**|>'] })).toBe(false);
  });
});

describe('a profile whose text would begin a line of its own in a systemd unit', () => {
  const [file] = files;
  const profile = JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8'));
  const [hardware] = Object.keys(profile.hardware);
  const changes: [string, (text: string) => object][] = [
    ['chatTemplate', (text) => ({ chatTemplate: text })],
    ['parsers.tools', (text) => ({ parsers: { ...profile.parsers, tools: text } })],
    ['parsers.reasoning', (text) => ({ parsers: { ...profile.parsers, reasoning: text } })],
    ['hardware', (text) => ({ hardware: { [hardware!]: { '--some-flag': text } } })],
    ['sources', (text) => ({ sources: [{ fact: text, source: 'https://example.com', date: '2026-11-30' }] })],
    ['sources', (text) => ({ sources: [{ fact: 'a fact', source: text, date: '2026-11-30' }] })],
  ];
  const faultyField = (change: object) =>
    ModelProfile.safeParse({ ...profile, ...change }).error?.issues[0]?.path.join('.') ?? null;

  it.each(changes)('is refused: %s', (field, change) => {
    expect(faultyField(change('/a b'))).toBeNull();
    for (const text of ['a\nExecStartPre=b', 'a\rb', 'a\u2028b', 'a\u001b[31m', 'a\u0000b'])
      expect(faultyField(change(text))).toMatch(new RegExp(`^${field}`));
  });
});
