/** Names at every door: a name with a hidden character is refused, and nothing is stored. */
import { beforeAll, describe, expect, it } from 'vitest';
import { ENROL_PATH } from '../../gpu-pool/protocol/schemas.ts';
import { usd } from '../../worker/domain/money.ts';
import { call, hello, upload } from './batches/fixtures.ts';
import { enrolBody, env, newJoinToken, newTestNode, postJson, R1 } from './fleet/fixtures.ts';
import { Customer, newModel } from './gateway/client.ts';
import { Browser, newEmail, PASSWORD } from './portal/browser.ts';
import { operatorBrowser, operatorSend } from './portal/operator/console.ts';

/** One character of each class that the rule forbids. */
const HIDDEN = {
  'C0 control': '\u0007',
  'C1 control': '\u0085',
  'line separator': '\u2028',
  'paragraph separator': '\u2029',
  'bidirectional override': '\u202e',
  'bidirectional isolate': '\u2066',
  'direction mark': '\u200f',
  'zero-width space': '\u200b',
  'zero-width joiner': '\u200d',
  'word joiner': '\u2060',
  'byte order mark': '\ufeff',
  'soft hyphen': '\u00ad',
  tag: '\u{e0041}',
};

let manager: Customer;
let customer: Customer;
let fileId: string;
let keyId: string;
let owner: Browser;
let operator: Browser;

beforeAll(async () => {
  manager = await Customer.withCredit(usd(1), { scope: 'management' });
  customer = await Customer.withCredit(usd(1));
  fileId = ((await (await upload(customer, `${hello(newModel(), 'a')}\n`)).json()) as { id: string }).id;
  keyId = ((await (await call(manager, 'POST', '/v1/keys', { name: 'app' })).json()) as { id: string }).id;
  owner = new Browser();
  await owner.signUp();
  operator = await operatorBrowser();
});

function sendFile(name: string) {
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new File(['{}\n'], name));
  return call(customer, 'POST', '/v1/files', form);
}

function makeBatch(metadata: Record<string, string>) {
  const body = {
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata,
  };
  return call(customer, 'POST', '/v1/batches', body);
}

async function enrol(engine: { version?: string; weight_version?: string }) {
  const body = enrolBody(await newTestNode(), await newJoinToken());
  return postJson(ENROL_PATH, { ...body, engine: { ...body.engine, ...engine } });
}

const PRICE = { cache_hit: '1', cache_miss: '2', output: '3', from: '2099-01-01T00:00:00Z' };
const PRICE_FORM = {
  modelId: R1,
  tariff: 'standard',
  fromMs: '2099-01-01T00:00',
  dailyFromMinute: '',
  dailyToMinute: '',
  cacheHitNanoUsd: '1',
  cacheMissNanoUsd: '2',
  outputNanoUsd: '3',
};
const DETAILS = { street: 'Rue 1', city: 'Paris', country: 'FR', taxId: '' };
const TOP_UP = { amount: '10', otherUsd: '' };

/** The answer of each door to a name. */
const API_DOORS: Record<string, (name: string) => Response | Promise<Response>> = {
  'a new key': (name) => call(manager, 'POST', '/v1/keys', { name }),
  'a renamed key': (name) => call(manager, 'PATCH', `/v1/keys/${keyId}`, { name }),
  'a file': sendFile,
  'the name of a batch’s metadata': (name) => makeBatch({ [name]: 'nightly' }),
  'the value of a batch’s metadata': (name) => makeBatch({ name }),
  'a node, by its join token': (name) =>
    operatorSend('/join-tokens', { name, model: R1, hardware: '8xmi300x' }),
  'a node’s engine': (name) => enrol({ version: name }),
  'a node’s weights': (name) => enrol({ weight_version: name }),
  'the source of a price': (source) => operatorSend('/prices', { model: R1, ...PRICE, source }),
  'the note of a grant': (note) =>
    operatorSend(`/accounts/${customer.accountId}/grants`, {
      grant_id: crypto.randomUUID(),
      amount_usd: '1',
      note,
    }),
  'the note of a finding': (note) =>
    operatorSend('/reconciliation/close', { request_id: 'req_1', kind: 'receipt_missing', note }),
  'a promo code': (code) => operatorSend('/promo-codes', { code, amount_usd: '1', redemptions_max: 1 }),
};

const PORTAL_DOORS: Record<string, (name: string) => Promise<Response>> = {
  'a sign-up': (name) => new Browser().post('/sign-up', { name, email: newEmail(), password: PASSWORD }),
  'a person’s own name': (name) => owner.post('/settings/profile', { name, language: 'en' }),
  'an account': (accountName) => owner.post('/account/name', { accountName }),
  'a key': (name) => owner.post('/keys', { name }),
  'a buyer': (legalName) => owner.post('/billing/details', { legalName, ...DETAILS }),
  'a purchase order': (purchaseOrder) => owner.post('/billing', { ...TOP_UP, purchaseOrder }),
  'a node': (name) => operator.post('/operator/pool', { name, model: R1, hardware: '8xmi300x' }),
  'the note of a grant': (note) =>
    operator.post(`/operator/accounts/${customer.accountId}/grants`, {
      grantId: crypto.randomUUID(),
      amount: '1',
      note,
      confirmGrant: customer.accountId,
    }),
  'the source of a price': (source) => operator.post('/operator/prices', { ...PRICE_FORM, source }),
  'a promo code, by an operator': (code) =>
    operator.post('/operator/promo-codes', { code, amount: '1', redemptions: '1', expires: '' }),
};

/** The words of forms for such a name; some accept fewer characters than names may have. */
const FAULTS = /Remove invisible characters|Use only letters, digits|Use Latin letters|Use 4 to 32/;

describe.each(Object.entries(HIDDEN))('a %s', (_, hidden) => {
  // Each class of characters has people of its own, whose forms are not counted with those of the others.
  beforeAll(async () => {
    owner = new Browser();
    await owner.signUp();
    operator = await operatorBrowser();
  });

  it.each(Object.keys(API_DOORS))('is refused in %s', async (door) => {
    const response = await API_DOORS[door]!(`na${hidden}me`);
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/control, bidirectional or zero-width|must be (1|4) to/);
  });

  it.each(Object.keys(PORTAL_DOORS))('is refused in the form for %s', async (door) => {
    const response = await PORTAL_DOORS[door]!(`na${hidden}me`);
    expect(response.status).toBe(422);
    expect(await response.text()).toMatch(FAULTS);
  });
});

it.each(Object.keys(PORTAL_DOORS))('lets an ordinary name through in the form for %s', async (door) => {
  expect(await (await PORTAL_DOORS[door]!('name-1')).text()).not.toMatch(FAULTS);
});

it.each(Object.keys(API_DOORS))('lets an ordinary name through in %s', async (door) => {
  const response = await API_DOORS[door]!('name-1');
  expect([door, await response.text()]).not.toEqual([door, expect.stringMatching(/zero-width|must be/)]);
});

it('shows why an account could not be renamed', async () => {
  const response = await owner.post('/account/name', { accountName: 'na\u200bme' });
  expect(await response.text()).toContain('Remove invisible characters.');
});

it('keeps a name that was stored before the rule readable', async () => {
  await env.DB.prepare('UPDATE api_key SET name = ? WHERE id = ?').bind('old\u200b name', keyId).run();
  const read = (await (await call(manager, 'GET', `/v1/keys/${keyId}`)).json()) as { name: string };
  expect(read.name).toBe('old\u200b name');
});
