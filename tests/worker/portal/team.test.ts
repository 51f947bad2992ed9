/** Teams: invitations that only the invited can use, roles, and accounts that always keep an owner. */
import { createExecutionContext } from 'cloudflare:test';
import { beforeEach, describe, expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import app from '../../../worker/index.ts';
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
  const person = await browser.signUpConfirmed('Ada');
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

  it('leads to a start page that asks for a key of one’s own', async () => {
    const { browser } = await owner();
    const { browser: bob } = await joinAs(browser, 'developer');
    const { browser: carla } = await joinAs(browser, 'viewer');
    const start = async (who: Browser) => (await who.get('/start')).text();
    const named = 'is your key';
    expect(await start(browser)).not.toContain(en.start.noKey);
    expect(await start(bob)).toContain(en.start.noKey);
    expect(await start(carla)).toContain(en.start.noKeyRole);
    const empty = { capUsd: '', tokensPerMinute: '', expiryDays: '' };
    const key = { ...empty, name: 'k', capPeriod: 'month', requestsPerMinute: '60', concurrency: '10' };
    await bob.postAndFollow('/keys', { ...key, scope: 'management' });
    expect(await start(bob)).not.toContain(named);
    await bob.postAndFollow('/keys', { ...key, scope: 'inference' });
    expect(await start(bob)).toContain(named);
    expect(await start(carla)).not.toContain(named);
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

  it('is sent by nobody who has not confirmed their own address', async () => {
    const browser = newBrowser();
    await browser.signUp('Win at evil.example');
    await harness.drain();
    harness.emails.splice(0);
    const response = await browser.post('/team', { email: newEmail(), role: 'viewer' });
    expect([response.status, await response.text()]).toEqual([
      422,
      expect.stringContaining(en.faults.invitation_unconfirmed),
    ]);
    await harness.drain();
    expect(harness.emails).toEqual([]);
  });

  it('holds nothing of the sender that could be a link', async () => {
    const { browser } = await owner();
    await browser.post('/account/name', { accountName: 'Win http://evil.example/a now' });
    const email = newEmail();
    await browser.post('/team', { email, role: 'viewer' });
    await harness.drain();
    const { text, html } = harness.emails.find(({ to }) => to === email)!;
    expect(text).toContain('“Win http evil example a now”');
    for (const part of [text, html]) expect(part).not.toMatch(/evil\.|person-[\w-]+@/);
  });

  it('reaches one inbox three times a day, however many accounts and spellings are used', async () => {
    const inbox = `t${crypto.randomUUID().replaceAll('-', '')}`;
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) {
      const { browser } = await owner();
      const email = `${inbox}+${i}@gmail.com`;
      statuses.push((await browser.post('/team', { email, role: 'viewer' })).status);
    }
    expect(statuses).toEqual([303, 303, 303, 429, 429, 429]);
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
    const password = PASSWORD;
    expect((await bob.browser.post('/account/close', { email: bob.email, password })).status).toBe(403);
    expect((await browser.post('/account/close', { email: 'somebody@example.com', password })).status).toBe(
      422,
    );
    const closed = await browser.post('/account/close', { email, password });
    expect(closed.headers.get('location')).toBe('/account/closed');
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
    // bob belonged to no other account
    expect((await bob.browser.get('/team')).headers.get('location')).toContain('/sign-in');
  });
});

describe('what a member’s right let them do ends with the right', () => {
  const keysOf = async (accountId: string) =>
    (
      await bindings.DB.prepare(
        'SELECT id, name, created_by, kept_by, revoked_at_ms IS NULL AS active FROM api_key WHERE account_id = ? AND name <> ? ORDER BY name',
      )
        .bind(accountId, en.signUp.firstKeyName)
        .all<{ id: string; name: string; created_by: string; kept_by: string | null; active: number }>()
    ).results;
  const KEY = {
    scope: 'inference',
    capUsd: '',
    capPeriod: 'month',
    requestsPerMinute: '60',
    tokensPerMinute: '',
    concurrency: '5',
    expiryDays: '',
  };
  const makeKey = async (browser: Browser, name: string, over: object = {}) => {
    const page = await browser.postAndFollow('/keys', { ...KEY, name, ...over });
    return (await page.text()).match(/sk-tg-\w{46}/)![0];
  };
  const setRole = (browser: Browser, id: string, role: string, made?: string) =>
    browser.post(`/team/members/${id}/role`, { role, ...(made !== undefined && { made }) });

  /** An owner Ada, and Bob whom she made an owner as well. */
  async function twoOwners() {
    const ada = await owner();
    const bob = await joinAs(ada.browser, 'developer');
    const bobId = await personId(bob.email);
    expect((await setRole(ada.browser, bobId, 'owner')).status).toBe(303);
    const accountId = String((await accountsOf(ada.email))[0]!.account_id);
    return { ada, bob, bobId, adaId: await personId(ada.email), accountId };
  }

  it.each([
    ['is demoted', (ada: Browser, bobId: string) => setRole(ada, bobId, 'developer')],
    [
      'is demoted and removed',
      async (ada: Browser, bobId: string) => {
        await setRole(ada, bobId, 'viewer');
        return ada.post(`/team/members/${bobId}/remove`, {});
      },
    ],
    [
      'is demoted and made an owner again',
      async (ada: Browser, bobId: string) => {
        await setRole(ada, bobId, 'viewer');
        return setRole(ada, bobId, 'owner');
      },
    ],
  ])('an invitation, when its sender %s', async (_, lose) => {
    const { ada, bob, bobId } = await twoOwners();
    const friend = newBrowser();
    const { email } = await friend.signUp('Cleo');
    const path = await invite(bob.browser, email, 'owner');
    expect((await friend.get(path)).status).toBe(200);
    expect((await lose(ada.browser, bobId)).status).toBe(303);
    expect((await friend.get(path)).status).toBe(410);
    expect((await friend.post(path, {})).status).toBe(410);
    expect(await accountsOf(email)).toHaveLength(1);
    expect(await (await ada.browser.get('/team')).text()).not.toContain(`Revoke the invitation for ${email}`);
  });

  it('an invitation is checked when it is accepted, even where nothing revoked it', async () => {
    const { bob, bobId, accountId } = await twoOwners();
    const friend = newBrowser();
    const { email } = await friend.signUp('Cleo');
    const path = await invite(bob.browser, email, 'owner');
    await bindings.DB.prepare("UPDATE member SET role = 'billing' WHERE account_id = ? AND person_id = ?")
      .bind(accountId, bobId)
      .run();
    expect((await friend.post(path, {})).status).toBe(410);
    expect(await accountsOf(email)).toHaveLength(1);
    const restore = "UPDATE member SET role = 'owner' WHERE account_id = ? AND person_id = ?";
    await bindings.DB.prepare(restore).bind(accountId, bobId).run();
    const suspend = (atMs: number | null) =>
      bindings.DB.prepare('UPDATE account SET suspended_at_ms = ? WHERE id = ?').bind(atMs, accountId).run();
    await suspend(1);
    expect((await friend.post(path, {})).status).toBe(410);
    await suspend(null);
    expect((await friend.post(path, {})).status).toBe(303);
  });

  it('removing asks what becomes of keys and webhooks, and tells what each key did last', async () => {
    const { ada, bob, bobId, adaId, accountId } = await twoOwners();
    await makeKey(bob.browser, 'production');
    const managing = await makeKey(bob.browser, 'tool', { scope: 'management' });
    const made = await app.fetch(
      new Request('https://tollgate.test/v1/keys', {
        method: 'POST',
        headers: { authorization: `Bearer ${managing}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'by tool' }),
      }),
      bindings,
      createExecutionContext(),
    );
    expect(made.status).toBe(201);
    await makeKey(ada.browser, 'zoe');
    await bob.browser.post('/alerts/endpoints', { url: 'https://hooks.bob.example/x' });
    const [production] = (await keysOf(accountId)).filter(({ name }) => name === 'production');
    await bindings.DB.batch([
      bindings.DB.prepare('UPDATE api_key SET last_used_at_ms = ? WHERE id = ?').bind(
        1_700_000_000_000,
        production!.id,
      ),
      ...[1, 2].map((hour) =>
        bindings.DB.prepare('INSERT INTO usage_hour VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 5000000, 0)').bind(
          accountId,
          hour * 3_600_000,
          production!.id,
          `model-of-hour-${hour}`,
          hour,
        ),
      ),
    ]);
    const asked = await (await ada.browser.get(`/team/members/${bobId}/remove`)).text();
    for (const text of [
      'production',
      'tool',
      'by tool',
      'hooks.bob.example',
      '14 Nov 2023',
      '2 requests to model-of-hour-2',
    ])
      expect(asked).toContain(text);
    expect(asked).not.toContain('zoe');
    for (const fields of [{}, { made: '' }, { made: 'perhaps' }]) {
      const unanswered = await ada.browser.post(
        `/team/members/${bobId}/remove`,
        fields as Record<string, string>,
      );
      expect(unanswered.status).toBe(422);
      expect(await unanswered.text()).toContain(en.faults.choice);
    }
    expect(await accountsOf(bob.email)).toHaveLength(1);
    expect((await ada.browser.post(`/team/members/${bobId}/remove`, { made: 'keep' })).status).toBe(303);
    expect(await keysOf(accountId)).toMatchObject([
      { name: 'by tool', kept_by: adaId, active: 1 },
      { name: 'production', created_by: bobId, kept_by: adaId, active: 1 },
      { name: 'tool', kept_by: adaId, active: 1 },
      { name: 'zoe', created_by: adaId, kept_by: null, active: 1 },
    ]);
    const page = await (await ada.browser.get('/keys')).text();
    expect(page).toContain(en.keys.keptBy(en.keys.formerMember(bob.email), ada.email));
    expect(await (await ada.browser.get('/team')).text()).toContain(en.team.keysFate.keep);
    const keeper = 'SELECT kept_by FROM webhook_endpoint WHERE account_id = ?';
    expect(await bindings.DB.prepare(keeper).bind(accountId).first('kept_by')).toBe(adaId);
  });

  it('ends them if the remover says so, those of the person’s management keys included', async () => {
    const { ada, bob, bobId, accountId } = await twoOwners();
    await makeKey(bob.browser, 'production');
    await bob.browser.post('/alerts/endpoints', { url: 'https://hooks.bob.example/x' });
    await makeKey(ada.browser, 'zoe');
    expect((await ada.browser.post(`/team/members/${bobId}/remove`, { made: 'end' })).status).toBe(303);
    expect(await keysOf(accountId)).toMatchObject([
      { name: 'production', active: 0 },
      { name: 'zoe', active: 1 },
    ]);
    const open = 'SELECT count(*) AS n FROM webhook_endpoint WHERE account_id = ? AND removed_at_ms IS NULL';
    expect(await bindings.DB.prepare(open).bind(accountId).first('n')).toBe(0);
  });

  it('a demotion asks as well, and only about what the new role has no right to', async () => {
    const { ada, bob, bobId, adaId, accountId } = await twoOwners();
    await makeKey(bob.browser, 'production');
    expect((await setRole(ada.browser, bobId, 'developer')).status).toBe(303);
    const asked = await setRole(ada.browser, bobId, 'viewer');
    expect(asked.status).toBe(422);
    const page = await asked.text();
    expect(page).toContain('production');
    expect(page).toContain('name="role" value="viewer"');
    expect(await accountsOf(bob.email)).toMatchObject([{ role: 'developer' }]);
    expect((await setRole(ada.browser, bobId, 'viewer', 'keep')).status).toBe(303);
    expect(await accountsOf(bob.email)).toMatchObject([{ role: 'viewer' }]);
    expect(await keysOf(accountId)).toMatchObject([{ name: 'production', kept_by: adaId, active: 1 }]);
  });

  it('who leaves decides, and what is kept passes to an owner', async () => {
    const { bob, bobId, adaId, accountId } = await twoOwners();
    await makeKey(bob.browser, 'production');
    expect((await bob.browser.post(`/team/members/${bobId}/remove`, {})).status).toBe(422);
    expect((await bob.browser.post(`/team/members/${bobId}/remove`, { made: 'keep' })).status).toBe(303);
    expect(await keysOf(accountId)).toMatchObject([{ name: 'production', kept_by: adaId, active: 1 }]);
  });

  it('a refused removal of the last owner ends nothing', async () => {
    const ada = await owner();
    await makeKey(ada.browser, 'production');
    const accountId = String((await accountsOf(ada.email))[0]!.account_id);
    const path = await invite(ada.browser, newEmail());
    const id = await personId(ada.email);
    expect((await ada.browser.post(`/team/members/${id}/remove`, { made: 'end' })).status).toBe(422);
    expect((await setRole(ada.browser, id, 'viewer', 'end')).status).toBe(422);
    expect(await keysOf(accountId)).toMatchObject([{ name: 'production', active: 1, kept_by: null }]);
    expect((await newBrowser().get(path)).status).toBe(200);
  });

  it('revoking a management key asks what becomes of the keys that it made', async () => {
    const ada = await owner();
    const accountId = String((await accountsOf(ada.email))[0]!.account_id);
    for (const [name, made] of [
      ['a', 'keep'],
      ['b', 'end'],
    ] as const) {
      const managing = await makeKey(ada.browser, `tool ${name}`, { scope: 'management' });
      await app.fetch(
        new Request('https://tollgate.test/v1/keys', {
          method: 'POST',
          headers: { authorization: `Bearer ${managing}`, 'content-type': 'application/json' },
          body: JSON.stringify({ name: `child ${name}` }),
        }),
        bindings,
        createExecutionContext(),
      );
      const tool = (await keysOf(accountId)).find((key) => key.name === `tool ${name}`)!;
      const page = await (await ada.browser.get(`/keys/${tool.id}/revoke`)).text();
      expect(page).toContain(en.keys.madeKeys(1, '1'));
      expect((await ada.browser.post(`/keys/${tool.id}/revoke`, {})).status).toBe(422);
      expect((await ada.browser.post(`/keys/${tool.id}/revoke`, { made })).status).toBe(303);
    }
    expect((await keysOf(accountId)).map(({ name, active }) => [name, active])).toEqual([
      ['child a', 1],
      ['child b', 0],
      ['tool a', 0],
      ['tool b', 0],
    ]);
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
