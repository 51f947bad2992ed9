/** Teams: invitations that only the invited can use, roles, and accounts that always keep an owner. */
import { beforeEach, describe, expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, newEmail, PASSWORD } from './browser.ts';

const { en } = MESSAGES;

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});

const newBrowser = (language = 'en') => new Browser(language, harness.env);

async function invite(owner: Browser, email: string, role = 'developer'): Promise<string> {
  await harness.drain();
  harness.emails.splice(0);
  const response = await owner.post('/team', { email, role });
  expect([response.status, response.headers.get('location')]).toEqual([303, '/team?done=invited']);
  await harness.drain();
  const invitation = harness.emails.splice(0).find(({ to }) => to === email)!;
  return invitation.text.match(/https:\/\/tollgate\.test(\/invitation\/\S*)/)![1]!;
}

async function owner() {
  const browser = newBrowser();
  const person = await browser.signUp('Ada');
  return { browser, ...person };
}

/** A newcomer who signs up and joins by an invitation. */
async function joinAs(inviter: Browser, role: string) {
  const email = newEmail();
  const path = await invite(inviter, email, role);
  const browser = newBrowser();
  const signedUp = await browser.post('/sign-up', { name: 'Bob', email, password: PASSWORD, next: path });
  expect(signedUp.headers.get('location')).toBe(path);
  expect((await browser.post(path, {})).headers.get('location')).toBe('/start');
  return { browser, email, path };
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
  it('adds a newcomer to the account without opening one of their own', async () => {
    const { browser, email: ownerEmail } = await owner();
    const { browser: bob, email } = await joinAs(browser, 'developer');
    expect(await accountsOf(email)).toEqual([{ ...(await accountsOf(ownerEmail))[0], role: 'developer' }]);
    expect(await (await bob.get('/team')).text()).toContain(ownerEmail);
    const verified = 'SELECT email_verified FROM person WHERE email = ?';
    expect(await bindings.DB.prepare(verified).bind(email).first('email_verified')).toBe(1);
    expect(await (await browser.get('/team')).text()).toContain(en.team.actionNames['member.joined']);
  });

  it('is for the address that it was sent to, and for one use', async () => {
    const { browser } = await owner();
    const email = newEmail();
    const path = await invite(browser, email);
    const thief = await owner();
    expect(await (await thief.browser.post(path, {})).text()).toContain(email);
    expect(await accountsOf(thief.email)).toHaveLength(1);
    const bob = newBrowser();
    await bob.signUp('Bob', email);
    await bob.post(path, {});
    expect(await accountsOf(email)).toHaveLength(2);
    expect((await bob.get(path)).status).toBe(410);
    expect((await bob.post(path, {})).status).toBe(410);
  });

  it('ends when it is revoked, when a newer one is sent, and after seven days', async () => {
    const { browser } = await owner();
    const email = newEmail();
    const [first, second] = [await invite(browser, email), await invite(browser, email)];
    expect((await newBrowser().get(first)).status).toBe(410);
    expect((await newBrowser().get(second)).status).toBe(200);
    const id = (await (await browser.get('/team')).text()).match(/invitations\/(inv_\w+)\/revoke/)![1];
    const foreign = await owner();
    expect((await foreign.browser.post(`/team/invitations/${id}/revoke`, {})).status).toBe(404);
    expect((await browser.post(`/team/invitations/${id}/revoke`, {})).status).toBe(303);
    expect((await newBrowser().get(second)).status).toBe(410);
    const third = await invite(browser, email);
    await bindings.DB.prepare('UPDATE invitation SET expires_at_ms = 1 WHERE email = ?').bind(email).run();
    expect((await newBrowser().get(third)).status).toBe(410);
  });

  it('is limited in number, and its link is not stored', async () => {
    const { browser } = await owner();
    const path = await invite(browser, newEmail());
    const { results } = await bindings.DB.prepare('SELECT * FROM invitation').all();
    expect(JSON.stringify(results)).not.toContain(path.split('/').at(-1));
    for (let i = 1; i < 25; i++)
      expect((await browser.post('/team', { email: newEmail(), role: 'viewer' })).status).toBe(303);
    const response = await browser.post('/team', { email: newEmail(), role: 'viewer' });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain(en.faults.too_many_invitations);
  });

  it('keeps invalid input in the form', async () => {
    const { browser } = await owner();
    const response = await browser.post('/team', { email: 'not an address', role: 'viewer' });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain('value="not an address"');
  });
});

describe('an owner', () => {
  it('changes roles, and the account keeps an owner', async () => {
    const { browser, email } = await owner();
    const bob = await joinAs(browser, 'viewer');
    const [ada, other] = [await personId(email), await personId(bob.email)];
    const role = (browser: Browser, id: string, to: string) =>
      browser.post(`/team/members/${id}/role`, { role: to });
    expect((await role(browser, ada, 'viewer')).status).toBe(422);
    expect((await role(bob.browser, other, 'owner')).status).toBe(403);
    expect((await role(browser, other, 'king')).status).toBe(404);
    expect((await role(browser, other, 'owner')).status).toBe(303);
    // both resign at once, and one of them must stay an owner
    await Promise.all([role(browser, ada, 'viewer'), role(bob.browser, other, 'viewer')]);
    const owners = (await Promise.all([email, bob.email].map(accountsOf)))
      .flat()
      .filter((each) => each.role === 'owner');
    expect(owners).toHaveLength(1);
  });

  it('removes a member, who then no longer sees the account', async () => {
    const { browser, email } = await owner();
    const bob = await joinAs(browser, 'developer');
    const id = await personId(bob.email);
    expect((await bob.browser.post(`/team/members/${await personId(email)}/remove`, {})).status).toBe(404);
    expect((await browser.post(`/team/members/${id}/remove`, {})).headers.get('location')).toBe(
      '/team?done=removed',
    );
    expect(await (await bob.browser.get('/team')).text()).not.toContain(email);
  });

  it('cannot leave as the last owner', async () => {
    const { browser, email } = await owner();
    expect((await browser.post(`/team/members/${await personId(email)}/remove`, {})).status).toBe(422);
    const bob = await joinAs(browser, 'developer');
    expect((await bob.browser.post(`/team/members/${await personId(bob.email)}/remove`, {})).status).toBe(
      303,
    );
  });

  it('renames the account, and exports its data without the secrets', async () => {
    const { browser, email } = await owner();
    await browser.post('/account/name', { accountName: 'Lovelace Ltd' });
    expect(await (await browser.get('/team')).text()).toContain('Lovelace Ltd');
    const response = await browser.get('/account/export');
    expect(response.headers.get('content-disposition')).toContain('tollgate-account.ndjson');
    const rows = (await response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.find(({ table }) => table === 'account')).toMatchObject({ name: 'Lovelace Ltd' });
    expect(rows.find(({ table }) => table === 'member')).toMatchObject({ email, role: 'owner' });
    expect(rows.find(({ table }) => table === 'api_key')).not.toHaveProperty('hash');
    expect(new Set(rows.map(({ table }) => table))).toContain('trail');
  });

  it('closes the account and its keys for good, and their personal data is erased', async () => {
    const { browser, email } = await owner();
    const bob = await joinAs(browser, 'developer');
    const { account_id: accountId } = (await accountsOf(email))[0]!;
    const id = await personId(email);
    expect((await bob.browser.post('/account/close', { email: bob.email })).status).toBe(403);
    expect((await browser.post('/account/close', { email: 'somebody@example.com' })).status).toBe(422);
    expect((await browser.post('/account/close', { email })).headers.get('location')).toBe('/account/closed');
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
    expect((await browser.get('/team')).status).toBe(303);
    // a former member has an account of their own now
    expect(await (await bob.browser.get('/team')).text()).not.toContain('Ada');
  });
});

it('a member of two accounts sees one of them, and the other after switching', async () => {
  const ada = await owner();
  const bob = await owner();
  const path = await invite(ada.browser, bob.email, 'billing');
  await bob.browser.post(path, {});
  const [adas, bobs] = [(await accountsOf(ada.email))[0]!, await accountsOf(bob.email)];
  expect(await (await bob.browser.get('/team')).text()).toContain(ada.email);
  expect((await bob.browser.post('/team/switch', { accountId: `${adas.account_id}x` })).status).toBe(404);
  const own = bobs.find((each) => each.role === 'owner')!;
  await bob.browser.post('/team/switch', { accountId: String(own.account_id) });
  expect(await (await bob.browser.get('/team')).text()).not.toContain(ada.email);
});
