/** /privacy and /terms: they exist in each language, say who runs the service, and tell the times that the code keeps. */
import { describe, expect, it } from 'vitest';
import { RETENTION_DAYS, type RetainedKind } from '../../../worker/domain/retention.ts';
import { legalEn } from '../../../worker/i18n/legal/en.ts';
import { legalFr } from '../../../worker/i18n/legal/fr.ts';
import { Browser, bindings } from './browser.ts';

const OPERATED = {
  ...bindings,
  INVOICE_SELLER: 'Acme GmbH|Road 1|Town',
  CONTACT_EMAIL: 'privacy@acme.example',
};
const LANGUAGES = [
  ['en', legalEn],
  ['fr', legalFr],
] as const;

describe.each(LANGUAGES)('in %s', (language, texts) => {
  const open = async (path: string) => {
    const response = await new Browser(language, OPERATED).get(path);
    expect(response.status).toBe(200);
    return (await response.text()).replaceAll('&#39;', "'");
  };

  it('the retention table has a row for each kind, with the time from the constants', async () => {
    const page = await open('/privacy');
    const cells = page
      .split('<tr>')
      .map((row) => [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, text]) => text));
    for (const kind of Object.keys(RETENTION_DAYS) as RetainedKind[]) {
      const { what, why } = texts.retention.kinds[kind];
      expect(cells).toContainEqual([what, texts.retention.days(RETENTION_DAYS[kind]), why]);
    }
  });

  it('both pages name the operator, and how to reach them', async () => {
    expect(await open('/privacy')).toContain('Acme GmbH, Road 1, Town');
    for (const path of ['/privacy', '/terms']) {
      const page = await open(path);
      expect(page).toContain('Acme GmbH');
      expect(page).toContain('privacy@acme.example');
    }
  });

  it('every page links to both, and so does the form that creates an account', async () => {
    const landing = await open('/');
    for (const path of ['/privacy', '/terms']) expect(landing).toContain(`href="${path}"`);
    const [before] = texts.accept;
    expect(await open('/sign-up')).toContain(before.trim());
  });

  it('times are written out', () => {
    const written = [1, 30, 365, 1_095, 3_653].map(texts.retention.days);
    const expected = {
      en: ['1 day', '30 days', '1 year', '3 years', '10 years'],
      fr: ['1 jour', '30 jours', '1 an', '3 ans', '10 ans'],
    };
    expect(written).toEqual(expected[language]);
  });
});

it('without a contact address, the operator is reached at the address of the invoices', async () => {
  const page = await (
    await new Browser('en', { ...OPERATED, CONTACT_EMAIL: undefined }).get('/privacy')
  ).text();
  expect(page).toContain('Write to this address');
  expect(page).not.toContain('privacy@acme.example');
});

it('the contact address is shown where a person can only write: a lost second factor, a suspended account', async () => {
  const link = `href="mailto:${OPERATED.CONTACT_EMAIL}"`;
  const browser = new Browser('en', OPERATED);
  expect(await (await browser.get('/sign-in/code/lost')).text()).toContain(link);
  const { email } = await browser.signUp();
  expect(await (await browser.get('/keys')).text()).not.toContain(link);
  await bindings.DB.prepare(
    `UPDATE account SET suspended_at_ms = 1 WHERE id =
       (SELECT m.account_id FROM member AS m JOIN person AS p ON p.id = m.person_id WHERE p.email = ?)`,
  )
    .bind(email)
    .run();
  expect(await (await browser.get('/keys')).text()).toContain(link);
});
