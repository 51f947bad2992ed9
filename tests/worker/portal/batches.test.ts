/**
 * The pages of batches: the same state as in the API, downloads of results for members only, and cancellation after a
 * confirmation.
 */
import { expect, it } from 'vitest';
import { addBatch } from '../../../worker/db/batches.ts';
import { createKey } from '../../../worker/db/keys.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { create, get, hasEnded, hello, results, sellBatches, until } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { newModel } from '../gateway/client.ts';
import { db } from '../notifications/fixtures.ts';
import { Browser, bindings } from './browser.ts';

await sellBatches(40);
const network = freshNetwork();
const words = MESSAGES.en.batches;

/** A person in a browser, and a program with a key of their account. */
async function customer() {
  const browser = new Browser();
  const { email } = await browser.signUp();
  const accountId = (await bindings.DB.prepare(
    'SELECT account_id FROM member JOIN person ON person.id = member.person_id WHERE email = ?',
  )
    .bind(email)
    .first<string>('account_id'))!;
  const { key, row } = await createKey(db, await pepperKey(config(bindings)), {
    accountId,
    name: 'nightly',
    nowMs: Date.now(),
  });
  await bindings.WALLET.getByName(accountId).grant({ grantId: 'test', amountNanoUsd: usd(1) });
  return { browser, accountId, keyId: row.id, program: { key } as Parameters<typeof create>[0] };
}

async function textAt(browser: Browser, path: string): Promise<string> {
  return (await (await browser.get(path)).text()).replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');
}

it('explain batches while there are none', async () => {
  const { browser } = await customer();
  const text = await textAt(browser, '/batches');
  expect(text).toContain(words.emptyTitle);
  expect(text).toContain('https://tollgate.test/v1/batches');
});

it('show the same progress as the API, and offer the results', async () => {
  const model = newModel();
  await network().add(model, () => stream(answer({ prompt: 10, content: ['Hi'] })));
  const { browser, program } = await customer();
  const { id } = await create(program, [hello(model, 'a'), 'not json', hello(model, 'b')]);
  const ended = await until(program, id, hasEnded);
  expect(ended.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
  for (const path of ['/batches', `/batches/${id}`]) {
    const html = await (await browser.get(path)).text();
    expect(html).toContain(words.states.some_failed);
    expect(html).toMatch(/<progress[^>]*value="2"[^>]*max="3"[^>]*aria-label="2 of 3 answered, 1 failed"/);
    expect(html).not.toContain('badge-success');
  }
  expect(await textAt(browser, '/batches')).toContain(ended.usage.cost.toFixed(9));
  expect(await textAt(browser, '/batches')).toContain('nightly');
  expect(await textAt(browser, `/batches/${id}`)).toContain(words.failedLines(1, '1'));

  const output = await browser.get(`/batches/${id}/files/output`);
  expect(output.headers.get('content-disposition')).toContain('attachment');
  const lines = (await output.text()).trim().split('\n');
  expect(lines.map((each) => JSON.parse(each))).toEqual(await results(program, ended.output_file_id));
  expect(await (await browser.get(`/batches/${id}/files/errors`)).text()).toContain('invalid_json');
  // a batch that has ended cannot be cancelled
  expect((await browser.get(`/batches/${id}/cancel`)).status).toBe(404);
});

it('show no success where every line failed', async () => {
  const { browser, program } = await customer();
  const { id } = await create(program, ['not json', 'nor this', 'nor that']);
  await until(program, id, hasEnded);
  const html = await (await browser.get(`/batches/${id}`)).text();
  expect(html).toMatch(/badge-error[^>]*>every line failed/);
  expect(html).toMatch(
    /progress-warning[^>]*value="0"[^>]*max="3"[^>]*aria-label="0 of 3 answered, 3 failed"/,
  );
  expect(html).not.toContain('badge-success');
});

it('do not exist for other accounts', async () => {
  const { program } = await customer();
  const { id } = await create(program, [hello(newModel(), 'a')]);
  const { browser: stranger } = await customer();
  for (const path of ['', '/files/output', '/cancel'])
    expect((await stranger.get(`/batches/${id}${path}`)).status).toBe(404);
  expect((await stranger.post(`/batches/${id}/cancel`, {})).status).toBe(404);
  expect((await get(program, id)).status).not.toMatch(/cancel/);
});

it('cancel a batch after a confirmation', async () => {
  const { browser, program } = await customer();
  // no node serves this model, so the batch waits
  const { id } = await create(program, [hello(newModel(), 'a'), hello(newModel(), 'b')]);
  await until(program, id, ({ status }) => status === 'in_progress');
  expect(await textAt(browser, `/batches/${id}/cancel`)).toContain(words.cancelText('2'));
  await browser.postAndFollow(`/batches/${id}/cancel`, {});
  expect((await until(program, id, hasEnded)).status).toBe('cancelled');
  expect(await textAt(browser, `/batches/${id}`)).toContain(words.states.cancelled);
});

it('show why a batch is paused, and list batches page by page', async () => {
  const { browser, accountId, keyId } = await customer();
  const nowMs = Date.now();
  const ids = Array.from({ length: 26 }, (_, n) => newId('batch', nowMs - n * 1_000));
  for (const [n, id] of ids.entries()) {
    await addBatch(db, {
      id,
      accountId,
      keyId,
      endpoint: '/v1/chat/completions',
      inputFileId: newId('file', nowMs),
      state: n === 0 ? 'in_progress' : 'completed',
      pausedBy: 'insufficient_balance',
      total: 4,
      completed: 1,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 86_400_000,
    });
  }
  expect(await textAt(browser, `/batches/${ids[0]}`)).toContain(words.pausedBy.insufficient_balance);
  const first = await textAt(browser, '/batches');
  expect(first).toContain('1 of 4');
  expect(first).not.toContain(ids[25]!);
  expect(await textAt(browser, `/batches?after=${ids[24]}`)).toContain(ids[25]!);
});
