/** The most that an account can have: the one beyond it is refused at every door, with a reason. */
import { createExecutionContext } from 'cloudflare:test';
import { beforeEach, describe, expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { MAXIMA } from '../../../worker/domain/maxima.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import worker from '../../../worker/index.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { call, upload } from '../batches/fixtures.ts';
import { db } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, ORIGIN } from '../portal/browser.ts';

const { faults } = MESSAGES.en;

let owner: Browser;
let accountId: string;

beforeEach(async () => {
  owner = new Browser();
  const { email } = await owner.signUpConfirmed();
  const id = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(email)
    .first<string>('id');
  accountId = (await accountOfPerson(db, id!))!;
});

/** Adds keys that need no secret. @param over of a revoked one: when it was revoked */
async function addKeys(count: number, revokedAtMs: number | null) {
  const insert = bindings.DB.prepare(
    `INSERT INTO api_key (id, account_id, name, hash, last_four, created_at_ms, revoked_at_ms)
     SELECT ?1 || value, ?2, 'k', ?1 || value, '0000', 1, ?3 FROM json_each(?4)`,
  );
  await insert
    .bind(
      newId('key', Date.now()).slice(0, -6),
      accountId,
      revokedAtMs,
      JSON.stringify([...Array(count).keys()]),
    )
    .run();
}

const form = {
  name: 'one more',
  capUsd: '',
  capPeriod: 'month',
  requestsPerMinute: '600',
  tokensPerMinute: '',
  concurrency: '100',
  expiryDays: '',
};

it.each([
  ['active keys', MAXIMA.active_keys.count, null],
  ['keys ever made', MAXIMA.keys.count, 2],
] as const)('%s', async (_, most, revokedAtMs) => {
  const pepper = await pepperKey(config(bindings));
  const { key } = await createKey(db, pepper, {
    accountId,
    name: 'm',
    scope: 'management',
    nowMs: Date.now(),
  });
  // the first key of the sign-up, the management key, and the one that is still allowed
  await addKeys(most - 3, revokedAtMs);
  const byApi = (path: string) =>
    worker.fetch(
      new Request(`${ORIGIN}/v1/keys${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: path === '' ? '{"name":"n"}' : '{"overlap_seconds":60}',
      }),
      bindings,
      createExecutionContext(),
    );
  const last = await byApi('');
  expect(last.status).toBe(201);
  const { id } = await last.json<{ id: string }>();
  for (const path of ['', `/${id}/rotate`]) {
    const refused = await byApi(path);
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: 'too_many_keys' } }]);
  }
  const page = await owner.post('/keys', form);
  expect([page.status, await page.text()]).toEqual([422, expect.stringContaining(faults.too_many_keys)]);
  const rotated = await owner.post(`/keys/${id}/rotate`, { overlap: 'day' });
  expect(rotated.headers.get('location')).toBe('/keys?full');
});

async function addMembers(count: number) {
  const people = Array.from({ length: count }, (_, i) => `${accountId}-${i}`);
  for (const id of people) {
    await bindings.DB.batch([
      bindings.DB.prepare(
        "INSERT INTO person (id, name, email, created_at, updated_at) VALUES (?1, 'm', ?1 || '@example.com', 1, 1)",
      ).bind(id),
      bindings.DB.prepare("INSERT INTO member (account_id, person_id, role) VALUES (?, ?, 'viewer')").bind(
        accountId,
        id,
      ),
    ]);
  }
}

it('members', async () => {
  await addMembers(MAXIMA.members.count - 1);
  const page = await owner.post('/team', { email: newEmail(), role: 'viewer' });
  expect([page.status, await page.text()]).toEqual([422, expect.stringContaining(faults.too_many_members)]);
});

describe('calls at once keep within', () => {
  const NOW = Date.now();

  /** Statuses and error codes of three equal calls at once, sorted. */
  async function thrice(call: () => Promise<Response>) {
    const responses = await Promise.all([call(), call(), call()]);
    const answers = await Promise.all(
      responses.map(async (response) => {
        const { error } = await response.json<{ error?: { code: string } }>();
        return `${response.status} ${error?.code ?? 'done'}`;
      }),
    );
    return answers.sort();
  }

  async function customer() {
    const pepper = await pepperKey(config(bindings));
    const { key } = await createKey(db, pepper, { accountId, name: 'c', nowMs: NOW });
    return { key };
  }

  const addFiles = (count: number, bytes: number) =>
    bindings.DB.prepare(
      `INSERT INTO file (id, account_id, name, purpose, bytes, parts, created_at_ms, expires_at_ms)
       SELECT ?1 || '-' || value, ?1, 'f', 'batch', ?2, 1, 1, ?3 FROM json_each(?4)`,
    )
      .bind(accountId, bytes, NOW + 86_400_000, JSON.stringify([...Array(count).keys()]))
      .run();

  const storedParts = async () => (await bindings.FILES.list({ prefix: 'files/' })).objects.length;

  it.each([
    ['the number of files', MAXIMA.files.count - 1, 1],
    ['the bytes of files', 1, MAXIMA.file_bytes.count - 15],
  ])('%s, and refused uploads leave nothing', async (_, count, bytes) => {
    await addFiles(count, bytes);
    const uploader = await customer();
    const before = await storedParts();
    expect(await thrice(() => upload(uploader, 'ten bytes\n'))).toEqual([
      '200 done',
      '400 storage_full',
      '400 storage_full',
    ]);
    expect((await storedParts()) - before).toBe(1);
  });

  it('unfinished batches', async () => {
    const runner = await customer();
    const file = await (await upload(runner, 'no request\n')).json<{ id: string }>();
    await bindings.DB.prepare(
      `INSERT INTO batch (id, account_id, key_id, endpoint, input_file_id, state, created_at_ms, expires_at_ms)
       SELECT ?1 || '-' || value, ?1, (SELECT id FROM api_key WHERE account_id = ?1), '/v1/chat/completions',
         ?3, 'in_progress', 1, 2 FROM json_each(?2)`,
    )
      .bind(accountId, JSON.stringify([...Array(MAXIMA.unfinished_batches.count - 1).keys()]), file.id)
      .run();
    const endpoint = '/v1/chat/completions';
    const order = { input_file_id: file.id, endpoint, completion_window: '24h' };
    expect(await thrice(() => call(runner, 'POST', '/v1/batches', order))).toEqual([
      '200 done',
      '429 too_many_batches',
      '429 too_many_batches',
    ]);
  });

  const invite = (tokenHash: string, email: string) =>
    bindings.DB.prepare(
      `INSERT INTO invitation (id, account_id, email, role, token_hash, invited_by, created_at_ms, expires_at_ms)
       SELECT ?1, ?2, ?3, 'viewer', ?4, person_id, 1, ?5 FROM member WHERE account_id = ?2 AND role = 'owner'`,
    )
      .bind(newId('inv', NOW), accountId, email, tokenHash, NOW + 86_400_000)
      .run();

  it('open invitations', async () => {
    for (let i = 1; i < MAXIMA.open_invitations.count; i++)
      await invite(`${accountId} ${i}`, `${i}@x.example`);
    const pages = await Promise.all(
      [1, 2, 3].map(() => owner.post('/team', { email: newEmail(), role: 'viewer' })),
    );
    expect(pages.map(({ status }) => status).sort()).toEqual([303, 422, 422]);
  });

  it('members; the invitation of the one who came too late stays open', async () => {
    await addMembers(MAXIMA.members.count - 2);
    const joining = await Promise.all(
      [1, 2].map(async (n) => {
        const token = `${accountId}-${n}`;
        const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
        const browser = new Browser();
        const { email } = await browser.signUp();
        await invite(Buffer.from(digest).toString('base64url'), email);
        return () => browser.post(`/invitation/${token}`, {});
      }),
    );
    const pages = await Promise.all(joining.map((join) => join()));
    expect(pages.map(({ status }) => status).sort()).toEqual([303, 422]);
    const late = pages.findIndex(({ status }) => status === 422);
    expect(await pages[late]!.text()).toContain(MESSAGES.en.team.teamFull);
    await bindings.DB.prepare("DELETE FROM member WHERE account_id = ? AND person_id LIKE 'acct_%-0'")
      .bind(accountId)
      .run();
    expect((await joining[late]!()).status).toBe(303);
  });
});
