/** The most that an account can have: the one beyond it is refused at every door, with a reason. */
import { createExecutionContext } from 'cloudflare:test';
import { beforeEach, expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { MAXIMA } from '../../../worker/domain/maxima.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import worker from '../../../worker/index.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
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

it('members', async () => {
  const people = Array.from({ length: MAXIMA.members.count - 1 }, (_, i) => `${accountId}-${i}`);
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
  const page = await owner.post('/team', { email: newEmail(), role: 'viewer' });
  expect([page.status, await page.text()]).toEqual([422, expect.stringContaining(faults.too_many_members)]);
});
