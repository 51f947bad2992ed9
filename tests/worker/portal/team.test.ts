/** Teams: invitations that only the invited can use, roles that hold on every page, an account that keeps an owner. */
import { beforeEach, describe, expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { Desk } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

const { en } = MESSAGES;

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

const browser = (language = 'en') => new Browser(language, desk.env);

async function invited(owner: Browser, email: string, role = 'developer'): Promise<string> {
  await desk.drain();
  desk.letters.splice(0);
  const asked = await owner.post('/team', { email, role });
  expect([asked.status, asked.headers.get('location')]).toEqual([303, '/team?done=invited']);
  await desk.drain();
  const letter = desk.letters.splice(0).find(({ to }) => to === email)!;
  return letter.text.match(/https:\/\/tollgate\.test(\/invitation\/\S*)/)![1]!;
}

async function owner() {
  const at = browser();
  const person = await at.signUp('Ada');
  return { at, ...person };
}

/** Somebody new who joins by their invitation. */
async function joined(by: Browser, role: string) {
  const email = newEmail();
  const path = await invited(by, email, role);
  const at = browser();
  const signedUp = await at.post('/sign-up', { name: 'Bob', email, password: PASSWORD, next: path });
  expect(signedUp.headers.get('location')).toBe(path);
  expect((await at.post(path, {})).headers.get('location')).toBe('/start');
  return { at, email, path };
}

async function personId(email: string): Promise<string> {
  return (await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(email)
    .first<string>('id'))!;
}

async function accountsOf(email: string) {
  const sql = 'SELECT account_id, role FROM member WHERE person_id = ? ORDER BY 1';
  return (
    await bindings.DB.prepare(sql)
      .bind(await personId(email))
      .all()
  ).results;
}

describe('an invitation', () => {
  it('brings a newcomer into the account and opens none of their own', async () => {
    const { at, email: by } = await owner();
    const { at: bob, email } = await joined(at, 'developer');
    expect(await accountsOf(email)).toEqual([{ ...(await accountsOf(by))[0], role: 'developer' }]);
    expect(await (await bob.get('/team')).text()).toContain(by);
    const verified = 'SELECT email_verified FROM person WHERE email = ?';
    expect(await bindings.DB.prepare(verified).bind(email).first('email_verified')).toBe(1);
    expect(await (await at.get('/team')).text()).toContain(en.team.actionNames['member.joined']);
  });

  it('is for the address that it was sent to, and for one use', async () => {
    const { at } = await owner();
    const email = newEmail();
    const path = await invited(at, email);
    const thief = await owner();
    expect(await (await thief.at.post(path, {})).text()).toContain(email);
    expect(await accountsOf(thief.email)).toHaveLength(1);
    const bob = browser();
    await bob.signUp('Bob', email);
    await bob.post(path, {});
    expect(await accountsOf(email)).toHaveLength(2);
    expect((await bob.get(path)).status).toBe(410);
    expect((await bob.post(path, {})).status).toBe(410);
  });

  it('ends when it is revoked, when a newer one is sent, and after seven days', async () => {
    const { at } = await owner();
    const email = newEmail();
    const [first, second] = [await invited(at, email), await invited(at, email)];
    expect((await browser().get(first)).status).toBe(410);
    expect((await browser().get(second)).status).toBe(200);
    const id = (await (await at.get('/team')).text()).match(/invitations\/(inv_\w+)\/revoke/)![1];
    const foreign = await owner();
    expect((await foreign.at.post(`/team/invitations/${id}/revoke`, {})).status).toBe(404);
    expect((await at.post(`/team/invitations/${id}/revoke`, {})).status).toBe(303);
    expect((await browser().get(second)).status).toBe(410);
    const third = await invited(at, email);
    await bindings.DB.prepare('UPDATE invitation SET expires_at_ms = 1 WHERE email = ?').bind(email).run();
    expect((await browser().get(third)).status).toBe(410);
  });

  it('is bounded in number, and its link is in no row', async () => {
    const { at } = await owner();
    const path = await invited(at, newEmail());
    const { results } = await bindings.DB.prepare('SELECT * FROM invitation').all();
    expect(JSON.stringify(results)).not.toContain(path.split('/').at(-1));
    for (let i = 1; i < 25; i++)
      expect((await at.post('/team', { email: newEmail(), role: 'viewer' })).status).toBe(303);
    const refused = await at.post('/team', { email: newEmail(), role: 'viewer' });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain(en.faults.too_many_invitations);
  });

  it('keeps what was typed wrong', async () => {
    const { at } = await owner();
    const refused = await at.post('/team', { email: 'not an address', role: 'viewer' });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain('value="not an address"');
  });
});

describe('an owner', () => {
  it('changes roles, and the account keeps an owner', async () => {
    const { at, email } = await owner();
    const bob = await joined(at, 'viewer');
    const [ada, other] = [await personId(email), await personId(bob.email)];
    const role = (browser: Browser, id: string, to: string) =>
      browser.post(`/team/members/${id}/role`, { role: to });
    expect((await role(at, ada, 'viewer')).status).toBe(422);
    expect((await role(bob.at, other, 'owner')).status).toBe(403);
    expect((await role(at, other, 'king')).status).toBe(404);
    expect((await role(at, other, 'owner')).status).toBe(303);
    // both at once: one of them stays
    await Promise.all([role(at, ada, 'viewer'), role(bob.at, other, 'viewer')]);
    const owners = (await Promise.all([email, bob.email].map(accountsOf)))
      .flat()
      .filter((each) => each.role === 'owner');
    expect(owners).toHaveLength(1);
  });

  it('removes a member, who then sees nothing of it any more', async () => {
    const { at, email } = await owner();
    const bob = await joined(at, 'developer');
    const id = await personId(bob.email);
    expect((await bob.at.post(`/team/members/${await personId(email)}/remove`, {})).status).toBe(404);
    expect((await at.post(`/team/members/${id}/remove`, {})).headers.get('location')).toBe(
      '/team?done=removed',
    );
    expect(await (await bob.at.get('/team')).text()).not.toContain(email);
  });

  it('cannot leave as the last', async () => {
    const { at, email } = await owner();
    expect((await at.post(`/team/members/${await personId(email)}/remove`, {})).status).toBe(422);
    const bob = await joined(at, 'developer');
    expect((await bob.at.post(`/team/members/${await personId(bob.email)}/remove`, {})).status).toBe(303);
  });

  it('renames the account, and takes its data without the secrets', async () => {
    const { at, email } = await owner();
    await at.post('/account/name', { accountName: 'Lovelace Ltd' });
    expect(await (await at.get('/team')).text()).toContain('Lovelace Ltd');
    const answer = await at.get('/account/export');
    expect(answer.headers.get('content-disposition')).toContain('tollgate-account.ndjson');
    const rows = (await answer.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.find(({ table }) => table === 'account')).toMatchObject({ name: 'Lovelace Ltd' });
    expect(rows.find(({ table }) => table === 'member')).toMatchObject({ email, role: 'owner' });
    expect(rows.find(({ table }) => table === 'api_key')).not.toHaveProperty('hash');
    expect(new Set(rows.map(({ table }) => table))).toContain('trail');
  });

  it('closes the account for good, with its keys, and is forgotten', async () => {
    const { at, email } = await owner();
    const bob = await joined(at, 'developer');
    const { account_id: accountId } = (await accountsOf(email))[0]!;
    const id = await personId(email);
    expect((await bob.at.post('/account/close', { email: bob.email })).status).toBe(403);
    expect((await at.post('/account/close', { email: 'somebody@example.com' })).status).toBe(422);
    expect((await at.post('/account/close', { email })).headers.get('location')).toBe('/account/closed');
    const alive = 'SELECT count(*) AS n FROM api_key WHERE account_id = ? AND revoked_at_ms IS NULL';
    expect(await bindings.DB.prepare(alive).bind(accountId).first('n')).toBe(0);
    for (const table of ['person_session', 'person_credential', 'member'])
      expect(
        await bindings.DB.prepare(`SELECT count(*) AS n FROM ${table} WHERE person_id = ?`)
          .bind(id)
          .first('n'),
      ).toBe(0);
    const left = await bindings.DB.prepare('SELECT name, email FROM person WHERE id = ?').bind(id).first();
    expect(JSON.stringify(left)).not.toContain(email);
    expect((await at.get('/team')).status).toBe(303);
    // who belonged to it has an account of their own now
    expect(await (await bob.at.get('/team')).text()).not.toContain('Ada');
  });
});

it('a person of two accounts looks at one, and at the other when they switch', async () => {
  const ada = await owner();
  const bob = await owner();
  const path = await invited(ada.at, bob.email, 'billing');
  await bob.at.post(path, {});
  const [own, hers] = [(await accountsOf(ada.email))[0]!, await accountsOf(bob.email)];
  expect(await (await bob.at.get('/team')).text()).toContain(ada.email);
  expect((await bob.at.post('/team/switch', { accountId: `${own.account_id}x` })).status).toBe(404);
  const mine = hers.find((each) => each.role === 'owner')!;
  await bob.at.post('/team/switch', { accountId: String(mine.account_id) });
  expect(await (await bob.at.get('/team')).text()).not.toContain(ada.email);
});
