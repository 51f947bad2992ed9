/** A lost second factor: the operator resets a customer's after proof, and the deploy-time token an operator's. */
import { beforeEach, describe, expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { database } from '../../../worker/db/client.ts';
import { removeSecondFactor } from '../../../worker/db/second-factor.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { resetSecondFactor } from '../../../worker/identity/reset-second-factor.ts';
import { TaskHarness } from '../notifications/fixtures.ts';
import { Browser, bindings, PASSWORD } from '../portal/browser.ts';
import { operatorBrowser, operatorSend } from '../portal/operator/console.ts';
import { holdTimeStep, totpFromPage } from './authenticator.ts';

const { en } = MESSAGES;

holdTimeStep();

let harness: TaskHarness;
beforeEach(() => {
  harness = new TaskHarness();
});

async function withSecondFactor(role = 'customer') {
  const browser = new Browser('en', harness.env);
  const { email } = await browser.signUpConfirmed();
  await browser.get('/usage');
  const page = await browser.postAndFollow('/settings/second-factor', { password: PASSWORD });
  const code = await totpFromPage(await page.text())();
  await browser.post('/settings/second-factor/confirm', { code });
  await bindings.DB.prepare('UPDATE person SET role = ? WHERE email = ?').bind(role, email).run();
  const id = (await bindings.DB.prepare('SELECT id FROM person WHERE email = ?')
    .bind(email)
    .first<string>('id'))!;
  return { browser, email, id, accountId: (await accountOfPerson(database(bindings), id))! };
}

async function signInGoesTo(email: string): Promise<string | null> {
  const response = await new Browser().post('/sign-in', { email, password: PASSWORD });
  return response.headers.get('location');
}

async function auditOf(subject: string) {
  const { results } = await bindings.DB.prepare(
    "SELECT actor, detail FROM audit WHERE subject = ? AND action = 'person.second_factor_reset'",
  )
    .bind(subject)
    .all<{ actor: string; detail: string }>();
  return results;
}

const reset = (email: string, reason = 'identified by video call') =>
  operatorSend('/people/reset-second-factor', { email, reason });

describe('by the operator API', () => {
  it.each(['customer', 'operator'])(
    'a %s signs in with the password again, and the trail says why',
    async (role) => {
      const { browser, email, id } = await withSecondFactor(role);
      expect(await signInGoesTo(email)).toBe('/sign-in/code');
      harness.emails.splice(0);
      const response = await operatorSend('/people/reset-second-factor', {
        email: email.toUpperCase(),
        reason: 'seen',
      });
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ id, sessions_ended: 1 });
      expect((await browser.get('/settings')).status).toBe(303);
      expect(await signInGoesTo(email)).toBe('/usage');
      expect(await auditOf(id)).toEqual([{ actor: 'operator-token', detail: '{"reason":"seen"}' }]);
      expect((await reset(email)).status).toBe(409);
    },
  );

  it('needs a reason, and a person', async () => {
    const { email } = await withSecondFactor();
    expect((await reset(email, '')).status).toBe(400);
    expect((await reset(email, 'a\u202eb')).status).toBe(400);
    expect((await reset(`x${email}`)).status).toBe(404);
    expect(await signInGoesTo(email)).toBe('/sign-in/code');
  });
});

describe('in the console', () => {
  it('needs a reason and the address, and tells the person by e-mail', async () => {
    const { browser, email, id, accountId } = await withSecondFactor();
    const console_ = await operatorBrowser();
    const page = `/operator/accounts/${accountId}`;
    const path = `${page}/people/${id}/second-factor`;
    expect(await (await console_.get(page)).text()).toContain(`href="${path}"`);
    expect((await console_.get(path)).status).toBe(200);
    const fields = { reason: 'named the last invoice', confirmEmail: email };
    expect((await console_.post(path, { ...fields, reason: '' })).status).toBe(422);
    expect((await console_.post(path, { ...fields, confirmEmail: `x${email}` })).status).toBe(422);
    expect(await signInGoesTo(email)).toBe('/sign-in/code');
    expect((await console_.post(path, fields)).headers.get('location')).toBe(`${page}?factor`);
    expect(await signInGoesTo(email)).toBe('/usage');
    expect((await browser.get('/settings')).status).toBe(303);
    const [entry] = await auditOf(id);
    expect(JSON.parse(entry!.detail)).toEqual({ reason: 'named the last invoice' });
    expect(await (await console_.get(page)).text()).not.toContain(`href="${path}"`);
  });

  it('does not reset an operator, nor a person of another account', async () => {
    const { email, id, accountId } = await withSecondFactor('operator');
    const console_ = await operatorBrowser();
    const fields = { reason: 'asked for it', confirmEmail: email };
    const refused = await console_.post(`/operator/accounts/${accountId}/people/${id}/second-factor`, fields);
    expect([refused.status, await refused.text()]).toEqual([422, expect.stringContaining('OPERATOR_TOKEN')]);
    const other = await withSecondFactor();
    const elsewhere = `/operator/accounts/${other.accountId}/people/${id}/second-factor`;
    expect((await console_.post(elsewhere, fields)).status).toBe(404);
    expect(await signInGoesTo(email)).toBe('/sign-in/code');
    expect(await auditOf(id)).toEqual([]);
  });

  it('does not exist for customers', async () => {
    const { browser, email, id, accountId } = await withSecondFactor();
    const path = `/operator/accounts/${accountId}/people/${id}/second-factor`;
    expect((await browser.post(path, { reason: 'mine', confirmEmail: email })).status).toBe(404);
  });
});

it('is reported to the person', async () => {
  const { email, id } = await withSecondFactor();
  await harness.drain();
  harness.emails.splice(0);
  const order = { personId: id, reason: 'seen', actor: 'operator', nowMs: Date.now() };
  expect(await resetSecondFactor(harness.env, order)).toEqual({ ok: true, sessionsEnded: 1 });
  await harness.drain();
  expect(harness.emails.map(({ to, text }) => [to, text])).toEqual([
    [email, expect.stringContaining(en.emails.signInChanged.what.second_factor_reset)],
  ]);
});

it('happens once when two operators click at once, and not to a person who becomes an operator meanwhile', async () => {
  const { id } = await withSecondFactor();
  const order = { personId: id, reason: 'identified by video call', actor: 'person_1', nowMs: Date.now() };
  const both = await Promise.all([
    resetSecondFactor(harness.env, order),
    resetSecondFactor(harness.env, order),
  ]);
  expect(both.filter(({ ok }) => ok)).toHaveLength(1);
  expect(await auditOf(id)).toHaveLength(1);

  const operator = await withSecondFactor('operator');
  const entry = {
    atMs: order.nowMs,
    actor: order.actor,
    action: 'person.second_factor_reset',
    subject: operator.id,
  };
  const change = { personId: operator.id, mayBeOperator: false, entry: { ...entry, detail: {} } };
  expect(await removeSecondFactor(database(bindings), change)).toBeNull();
  expect(await signInGoesTo(operator.email)).toBe('/sign-in/code');
  expect(await auditOf(operator.id)).toEqual([]);
});

it('the page that asks for the code leads to the ways back', async () => {
  const browser = new Browser();
  expect(await (await browser.get('/sign-in/code')).text()).toContain('href="/sign-in/code/lost"');
  const text = await (await browser.get('/sign-in/code/lost')).text();
  expect(text).toContain(en.people.code.lostProof);
});
