/** The audit proves what was archived: parts against the manifest, entries and hourly rollups against both stores. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  ARCHIVE_AUDIT_START,
  type ArchiveMark,
  auditArchivePage,
} from '../../../worker/archive/archive-audit.ts';
import { auditLedgerPage } from '../../../worker/billing/ledger-audit.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { AUDIT_START } from '../../../worker/domain/ledger-audit.ts';
import { operatorSend, outcomeOf } from '../portal/operator/console.ts';
import { env } from '../wallet/fixtures.ts';
import { customerWithPast, objectsOf, run, runAll } from './fixtures.ts';

let accountId: string;

beforeEach(async () => {
  ({ accountId } = await customerWithPast());
  await runAll();
});

/** What both audits find, over all of their pages, and the number of parts that were checked. */
async function audit(): Promise<{ found: string[]; parts: number }> {
  const found: string[] = [];
  let ledger = await auditLedgerPage(env, accountId, AUDIT_START);
  for (;;) {
    found.push(...ledger.findings.map(({ about, what }) => `${about} ${what}`));
    if (ledger.complete) break;
    ledger = await auditLedgerPage(env, accountId, ledger.mark);
  }
  let parts = 0;
  for (let mark: ArchiveMark | null = ARCHIVE_AUDIT_START; mark !== null; ) {
    const page = await auditArchivePage(env, accountId, mark);
    found.push(...page.findings.map(({ about, what }) => `${about} ${what}`));
    parts += page.checked;
    ({ mark } = page);
  }
  return { found, parts };
}

const d1 = (sql: string) => env.DB.prepare(sql).run();
async function objectOf(kind: string): Promise<{ key: string; text: string }> {
  const { named } = await objectsOf(accountId);
  const key = named.find((each) => each.includes(`/${kind}/2026-06/`))!;
  const { body } = (await env.ARCHIVE.get(key))!;
  return { key, text: await new Response(body.pipeThrough(new DecompressionStream('gzip'))).text() };
}
async function replaceObject(key: string, text: string): Promise<void> {
  const gzipped = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  await env.ARCHIVE.put(key, await new Response(gzipped).arrayBuffer());
}

describe('the audit of an account with an archive', () => {
  it('finds nothing when all agrees, archived months included', async () => {
    expect(await audit()).toEqual({ found: [], parts: 4 });
  });

  it('finds nothing while the archive is being written, nor when each part has one row', async () => {
    ({ accountId } = await customerWithPast(newId('acct', Date.now())));
    for (let parts = 1; parts > 0; ) {
      expect((await audit()).found).toEqual([]);
      parts = await run(env, { rowsMax: 1 });
    }
    expect((await audit()).parts).toBeGreaterThan(10);
  });

  it.each<[string, () => Promise<unknown>, RegExp[]]>([
    [
      'an object that is missing',
      async () => env.ARCHIVE.delete((await objectOf('requests')).key),
      [/part 1 of the archived requests is missing in R2/, /has no request in D1/, /hour 2026-06-10T00/],
    ],
    [
      'an object of the ledger that is missing',
      async () => env.ARCHIVE.delete((await objectOf('ledger')).key),
      [/part 1 of the archived ledger is missing in R2/],
    ],
    [
      'an object with other figures',
      async () => {
        const { key, text } = await objectOf('requests');
        await replaceObject(key, text.replace('"completionTokens":20', '"completionTokens":21'));
      },
      [/part 1 of the archived requests is not the text whose hash/, /has no request in D1/],
    ],
    [
      'an object that is no archive',
      async () => env.ARCHIVE.put((await objectOf('requests')).key, 'x'),
      [/part 1 of the archived requests is not the text whose hash/],
    ],
    [
      'a part that the manifest lacks',
      async () => {
        await d1('DROP TRIGGER archive_part_keeps_all_rows');
        await d1(
          `DELETE FROM archive_part WHERE account_id = '${accountId}' AND kind = 'requests' AND seq = 1`,
        );
      },
      [
        /part 2 of the archived requests follows part 0/,
        /part 2 of the archived requests does not follow the part before it/,
        /hour 2026-06-20/,
      ],
    ],
    [
      'a manifest with another sum',
      async () => {
        await d1('DROP TRIGGER archive_part_keeps_its_rows');
        await d1(`UPDATE archive_part SET sum_nano_usd = 1 WHERE account_id = '${accountId}' AND seq = 2`);
      },
      [
        /part 2 of the archived requests has sumNanoUsd \d+, the manifest says 1/,
        /ledger has sumNanoUsd -\d+/,
      ],
    ],
    [
      'a rollup of an archived month that is not the sum',
      () =>
        d1(
          `UPDATE usage_hour SET requests = 9 WHERE account_id = '${accountId}' AND hour_ms = ${Date.UTC(2026, 6, 5)}`,
        ),
      [/hour 2026-07-05T00.* its rollup says 9/],
    ],
    [
      'a rollup of a month that is not archived',
      () =>
        d1(
          `UPDATE usage_hour SET charge_nano_usd = 9 WHERE account_id = '${accountId}' AND hour_ms >= ${Date.UTC(2026, 9)}`,
        ),
      [/hour 2026-10-01T00.* for 9/, /hour 2026-11-29T00.* for 9/],
    ],
    [
      'a part that was rewritten with its manifest',
      async () => {
        const { key, text } = await objectOf('requests');
        const changed = text.replace('"completionTokens":20', '"completionTokens":21');
        await replaceObject(key, changed);
        const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(changed));
        const hash = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        await d1('DROP TRIGGER IF EXISTS archive_part_keeps_its_rows');
        await d1(
          `UPDATE archive_part SET hash = '${hash}' WHERE account_id = '${accountId}' AND kind = 'requests' AND seq = 1`,
        );
      },
      [/part 2 of the archived requests does not follow the part before it/, /tokens × .* is/],
    ],
  ])('finds %s', async (_, tamper, findings) => {
    await tamper();
    const { found } = await audit();
    for (const finding of findings)
      expect(found).toEqual(expect.arrayContaining([expect.stringMatching(finding)]));
  });

  it('is a route of the operator API, which knows its accounts', async () => {
    const answer = await operatorSend(`/accounts/${accountId}/archive`, ARCHIVE_AUDIT_START);
    expect(await answer.json()).toMatchObject({ findings: [], checked: 2, mark: { kind: 'ledger', seq: 0 } });
    const hours = await operatorSend(`/accounts/${accountId}/archive`, { kind: 'hours', fromMs: 0 });
    expect(await hours.json()).toEqual({ findings: [], checked: 0, mark: null });
    const unknown = newId('acct', Date.now());
    expect(await outcomeOf(operatorSend(`/accounts/${unknown}/archive`, ARCHIVE_AUDIT_START))).toBe(
      '404 account_not_found',
    );
    expect(await outcomeOf(operatorSend(`/accounts/${accountId}/archive`, { kind: 'x' }))).toMatch(/^400/);
  });
});
