/** Migrations, which D1 runs, must match the schema and must not lose rows unnoticed. */
import { readdirSync, readFileSync } from 'node:fs';
import { generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api';
import { describe, expect, it } from 'vitest';
import * as schema from '../../worker/db/schema.ts';

const files = readdirSync('migrations').filter((file) => file.endsWith('.sql'));

it('match the schema', async () => {
  const last = readdirSync('migrations/meta')
    .filter((file) => file.endsWith('_snapshot.json'))
    .sort()
    .at(-1)!;
  const before = JSON.parse(readFileSync(`migrations/meta/${last}`, 'utf8'));
  expect(await generateSQLiteMigration(before, await generateSQLiteDrizzleJson(schema))).toEqual([]);
});

describe.each(files)('%s', (file) => {
  const sql = readFileSync(`migrations/${file}`, 'utf8');

  it('never cascades, as rebuilding a parent table on D1 would delete its children', () => {
    expect(sql).not.toMatch(/on delete cascade/i);
  });

  it('drops no table without a reason beside it', () => {
    for (const line of sql.split('\n').filter((each) => /drop table/i.test(each)))
      expect(line).toMatch(/-- because /);
  });

  it('creates STRICT tables only', () => {
    const tables = sql.match(/CREATE TABLE/g) ?? [];
    expect(sql.match(/\) STRICT(, WITHOUT ROWID)?;/g) ?? []).toHaveLength(tables.length);
  });
});
