/** Key rotation in the portal: the new key is shown once, and the old one works for the chosen overlap. */
import { expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { Browser, bindings } from './browser.ts';

async function withKey() {
  const browser = new Browser();
  await browser.signUp();
  const page = await (await browser.get('/keys')).text();
  return { browser, keyId: page.match(/\/keys\/(key_\w+)\/rotate/)![1]! };
}

const HOUR_MS = 3_600_000;
const SQL =
  'SELECT id, name, expires_at_ms, hash FROM api_key WHERE account_id = (SELECT account_id FROM api_key WHERE id = ?) ORDER BY created_at_ms, id';

async function keysOfAccountOf(keyId: string) {
  return (
    await bindings.DB.prepare(SQL)
      .bind(keyId)
      .all<{ id: string; name: string; expires_at_ms: number | null }>()
  ).results;
}

it.each([
  ['none', 0],
  ['hour', HOUR_MS],
  ['week', 168 * HOUR_MS],
])('the old key keeps working for: %s', async (overlap, ms) => {
  const { browser, keyId } = await withKey();
  expect(await (await browser.get(`/keys/${keyId}/rotate`)).text()).toContain(MESSAGES.en.keys.overlaps.week);
  const before = Date.now();
  const shown = await (await browser.postAndFollow(`/keys/${keyId}/rotate`, { overlap })).text();
  expect(shown).toMatch(/sk-tg-\w{20,}/);
  expect(shown).toContain(MESSAGES.en.keys.rotated);
  expect(await (await browser.get('/keys')).text()).not.toMatch(/sk-tg-\w{20,}/);
  const [old, fresh] = await keysOfAccountOf(keyId);
  expect(fresh).toMatchObject({ name: old!.name, expires_at_ms: null });
  expect(old!.expires_at_ms! - before).toBeGreaterThanOrEqual(ms);
  expect(old!.expires_at_ms! - before).toBeLessThan(ms + 60_000);
});

it('an old key that expires sooner keeps its expiry, and a revoked key cannot be rotated', async () => {
  const { browser, keyId } = await withKey();
  const soon = Date.now() + HOUR_MS;
  await bindings.DB.prepare('UPDATE api_key SET expires_at_ms = ? WHERE id = ?').bind(soon, keyId).run();
  await browser.post(`/keys/${keyId}/rotate`, { overlap: 'week' });
  expect((await keysOfAccountOf(keyId)).map((key) => key.expires_at_ms)).toEqual([soon, soon]);
  await browser.post(`/keys/${keyId}/revoke`, {});
  expect((await browser.post(`/keys/${keyId}/rotate`, { overlap: 'day' })).status).toBe(404);
  expect(await keysOfAccountOf(keyId)).toHaveLength(2);
});

it('rejects an unknown overlap, and the rotation is in the team’s audit trail', async () => {
  const { browser, keyId } = await withKey();
  await browser.post(`/keys/${keyId}/rotate`, { overlap: 'for ever' });
  expect(await keysOfAccountOf(keyId)).toHaveLength(1);
  await browser.post(`/keys/${keyId}/rotate`, { overlap: 'day' });
  const team = await (await browser.get('/team')).text();
  for (const action of ['key.created', 'key.rotated'])
    expect(team).toContain(MESSAGES.en.team.actionNames[action]);
});

it('a second click makes no second key, and a key that was rotated can only be revoked', async () => {
  const { browser, keyId } = await withKey();
  const rotate = () => browser.post(`/keys/${keyId}/rotate`, { overlap: 'day' });
  const locations = (await Promise.all([rotate(), rotate()])).map(({ headers }) => headers.get('location'));
  expect(locations.sort()).toEqual(['/keys?again', '/keys?rotated']);
  expect((await browser.get(`/keys/${keyId}/rotate`)).headers.get('location')).toBe('/keys?again');
  const page = await (await browser.get('/keys?again')).text();
  expect(page).toContain(MESSAGES.en.keys.rotatedBefore);
  expect(page).not.toContain(`/keys/${keyId}/rotate`);
  expect(page).toContain(`/keys/${keyId}/revoke`);
  expect(await keysOfAccountOf(keyId)).toHaveLength(2);
});
