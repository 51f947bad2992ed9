/** The page of aliases: what its form sets, refuses and removes, and who may send it is in rights.test.ts. */
import { expect, it } from 'vitest';
import { accountOfPerson } from '../../../worker/db/accounts.ts';
import { listAliases } from '../../../worker/db/model-aliases.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { db } from '../notifications/fixtures.ts';
import { Browser, bindings } from './browser.ts';

const { aliases: TEXT, faults: FAULTS } = MESSAGES.en;
const FORM = { name: 'claude-haiku-4-5', model: 'deepseek-v3-0324', effort: '' };

async function owner(language = 'en') {
  const browser = new Browser(language);
  const { email } = await browser.signUpConfirmed();
  const person = await bindings.DB.prepare('SELECT id FROM person WHERE email = ?').bind(email).first('id');
  return { browser, accountId: (await accountOfPerson(db, String(person)))! };
}

it('sets an alias, changes it by its name, and removes it', async () => {
  const { browser, accountId } = await owner();
  expect(await (await browser.get('/aliases')).text()).toContain(TEXT.empty);
  const set = await browser.post('/aliases', { ...FORM, name: ' Claude-Haiku-4-5 ' });
  expect([set.status, set.headers.get('location')]).toEqual([303, '/aliases?done=set']);
  expect(await listAliases(db, accountId)).toMatchObject([
    { name: FORM.name, modelId: 'deepseek-v3-0324', effort: null },
  ]);
  await browser.post('/aliases', { ...FORM, model: 'deepseek-r1-0528', effort: 'low' });
  expect(await listAliases(db, accountId)).toMatchObject([{ modelId: 'deepseek-r1-0528', effort: 'low' }]);
  const page = await (await browser.get('/aliases')).text();
  expect(page).toContain(FORM.name);
  expect((await browser.post('/aliases/remove', { name: FORM.name })).headers.get('location')).toBe(
    '/aliases?done=removed',
  );
  expect(await listAliases(db, accountId)).toEqual([]);
});

it.each([
  ['a name with a space', { name: 'a b' }, FAULTS.alias_name],
  ['no name', { name: '' }, FAULTS.required],
  ['a model’s name', { name: 'DeepSeek-R1-0528' }, FAULTS.alias_taken],
  ['a model that is not sold', { model: 'nobody' }, FAULTS.choice],
  ['an effort that the model does not have', { effort: 'low' }, FAULTS.alias_effort],
])('refuses %s beside its field and keeps what was typed', async (_, fields, text) => {
  const { browser, accountId } = await owner();
  const refused = await browser.post('/aliases', { ...FORM, ...fields });
  expect(refused.status).toBe(422);
  const page = await refused.text();
  expect(page).toContain(text);
  expect(await listAliases(db, accountId)).toEqual([]);
});

it('removes nothing of another account', async () => {
  const [ada, eve] = [await owner(), await owner()];
  await ada.browser.post('/aliases', FORM);
  expect((await eve.browser.post('/aliases/remove', { name: FORM.name })).status).toBe(404);
  expect(await listAliases(db, ada.accountId)).toHaveLength(1);
});
