/** The public pricing page: prices from D1, a cost calculation, and a comparison with dated prices of other providers. */
import { expect, it } from 'vitest';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { Browser, bindings } from './browser.ts';

const text = async (path: string, language = 'en') => (await new Browser(language).get(path)).text();
/** A page without its markup, and without the special spaces that `Intl` inserts. */
const plain = (html: string) => html.replaceAll(/<[^>]+>/g, ' ').replaceAll(/[\u202f\u00a0]/g, ' ');

it('calculates a month line by line, and compares it with o1', async () => {
  const page = plain(
    await text(
      '/pricing?model=deepseek-r1-0528&requestsPerDay=1000&promptTokens=2000&cachedPercent=50&outputTokens=1000&batchPercent=0&offPeakPercent=0',
    ),
  );
  // 30,000 requests: 30 M cached at $0.14, 30 M uncached at $0.55, 30 M out at $2.19 a million
  for (const amount of ['$4.20', '$16.50', '$65.70', '$86.40', '$0.00288']) expect(page).toContain(amount);
  // o1: 30 M × ($7.50 + $15 + $60)
  expect(page).toContain('$2,475.00');
  expect(page).toContain('$2,388.60 less (96.5%)');
  // gpt-6-luna: 30 M × ($0.01 + $0.10 + $0.50)
  expect(page).toContain('$18.30');
  expect(page).toContain('$68.10 more (372.1%)');
});

it('calculates off-peak and batch requests at their own prices', async () => {
  const page = plain(await text('/pricing?batchPercent=50&offPeakPercent=40'));
  const { standard, offPeak, batch } = MESSAGES.en.pricing.tariffs;
  for (const part of [`${standard}, 9,000`, `${offPeak}, 6,000`, `${batch}, 15,000`])
    expect(page).toContain(part);
});

it('says of a model that no node serves that it is not available', async () => {
  const served = await bindings.DB.prepare('SELECT count(*) AS n FROM model').first<number>('n');
  const page = await text('/pricing');
  // No node serves any model of this file's database.
  expect(page.split(MESSAGES.en.landing.notServed).length - 1).toBeGreaterThanOrEqual(served!);
});

it('shows the batch price of each model, at most half of its lowest', async () => {
  const page = plain(await text('/pricing')).replaceAll(/\s+/g, ' ');
  expect(page).toContain(`${MESSAGES.en.landing.batchTariff} $0.017 $0.067 $0.275`);
});

it.each(['0', '-1', '1e9', 'many', '', '10000001', '1.5'])(
  'marks %j requests a day as invalid, and keeps the input',
  async (typed) => {
    const response = await new Browser().get(`/pricing?requestsPerDay=${encodeURIComponent(typed)}`);
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain(MESSAGES.en.faults.whole_number);
    expect(page).toContain(`value="${typed}"`);
  },
);

it('escapes input, and treats an unknown model as the first one', async () => {
  const response = await new Browser().get('/pricing?model=%3Cscript%3E&promptTokens=%22%3E%3Cscript%3E');
  expect(await response.text()).not.toContain('<script>');
});

it('says of every comparison which way it falls, since when, and by which source', async () => {
  for (const path of ['/', '/pricing']) {
    const page = plain(await text(path)).replaceAll(/\s+/g, ' ');
    expect(page).toContain('DeepSeek-R1 is at least 96.3% cheaper than OpenAI o1 on every type of token.');
    expect(page).toContain('OpenAI gpt-6-luna is cheaper than DeepSeek-R1 on every type of token.');
    expect(page).toContain('List price since 22 Sept 2026.');
    expect(page).toContain('DeepSeek-R1: 4.4 times as much');
    expect(page).toContain('DeepSeek Flash, off-peak is cheaper than DeepSeek-R1');
    expect(page).toContain(
      'DeepSeek-R1 is cheaper than DeepSeek V4 Pro, off-peak on some types of token and dearer on others.',
    );
    expect(page).toContain('https://api-docs.deepseek.com/quick_start/pricing');
    expect(page).not.toContain('50 to 80');
  }
});

it('compares with the reference prices in D1 and their dates, in both languages', async () => {
  expect(plain(await text('/pricing'))).toContain('17 Dec 2024');
  expect(plain(await text('/pricing', 'fr'))).toContain('23 oct. 2026');
  const set = (output: number) =>
    bindings.DB.prepare("UPDATE reference_price SET output_nano_usd = ? WHERE id = 'openai-o1-2024-12-17'")
      .bind(output)
      .run();
  await set(30_000);
  for (const path of ['/', '/pricing']) expect(plain(await text(path))).toContain('$30.00');
  await set(60_000);
});
