/** Batches: every line gets an answer or an error, is charged once at half the price, and waits for idle nodes. */
import { runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { Settlement } from '../../../worker/gateway/hold/request-hold.ts';
import { answer, freshNetwork, stream, wait } from '../fake-node.ts';
import { QUIET_LOAD } from '../fleet/fixtures.ts';
import { Customer, costOf, env, newModel } from '../gateway/client.ts';
import { limited } from '../wallet/fixtures.ts';
import { call, create, get, hasEnded, hello, line, results, sellBatches, until, upload } from './fixtures.ts';

await sellBatches(40);
const network = freshNetwork();

const greets = () => stream(answer({ prompt: 10, content: ['Hi', ' there'] }));
const BUSY = { load: { ...QUIET_LOAD, waiting_requests: 3 } };
/** Charge of one line that `greets` answers, at half of the standard price. */
const LINE_CHARGE = nanoUsd(costOf(10, 2) / 2);

describe('a batch', () => {
  it('gives each line an answer or an error, and charges half of the price', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(
      customer,
      [
        hello(model, 'a'),
        'not json',
        hello(model, 'b'),
        hello(model, 'a'),
        line('c', { model, messages: 'none' }),
        line('d', { model: 'nobody', messages: [{ role: 'user', content: 'x' }] }),
        line('e', { model }, { url: '/v1/embeddings' }),
        line('f', { model, stream: true, messages: [{ role: 'user', content: 'x' }] }),
      ],
      { metadata: { job: 'night' } },
    );
    const ended = await until(customer, id, hasEnded);
    expect(ended).toMatchObject({
      status: 'completed',
      metadata: { job: 'night' },
      request_counts: { total: 8, completed: 2, failed: 6 },
      usage: { input_tokens: 20, output_tokens: 4 },
    });
    expect(ended.usage).toMatchObject({ cost: (2 * LINE_CHARGE) / 1e9, cost_nano_usd: 2 * LINE_CHARGE });

    const answers = await results(customer, ended.output_file_id);
    expect(answers.map(({ custom_id }) => custom_id)).toEqual(['a', 'b']);
    expect(answers[0]!.response).toMatchObject({
      status_code: 200,
      body: { object: 'chat.completion', choices: [{ message: { content: 'Hi there' } }] },
    });
    const faults = await results(customer, ended.error_file_id);
    expect(
      faults.map(({ custom_id, error, response }) => [custom_id, error?.code ?? response!.status_code]),
    ).toEqual([
      [null, 'invalid_json'],
      ['a', 'duplicate_custom_id'],
      ['c', 400],
      ['d', 404],
      ['e', 'mismatched_url'],
      ['f', 'invalid_line'],
    ]);
    expect(node.received).toHaveLength(2);
    expect(node.received.every(({ request }) => request.background)).toBe(true);
    expect(await customer.balance()).toMatchObject({
      heldNanoUsd: 0,
      grantedNanoUsd: usd(1) - 2 * LINE_CHARGE,
    });
    const record = await customer.wallet.request(answers[0]!.response!.request_id);
    expect(record).toMatchObject({
      state: 'posted',
      chargeNanoUsd: LINE_CHARGE,
      price: { id: `${model}/batch` },
    });
  });

  it('counts against caps only: not against requests/min, tokens/min or concurrency', async () => {
    const model = newModel();
    await network().add(model, greets);
    const customer = await Customer.withCredit(usd(1), {
      requestsPerMinute: 1,
      tokensPerMinute: 1,
      concurrency: 1,
    });
    const { id } = await create(
      customer,
      ['a', 'b', 'c', 'd'].map((each) => hello(model, each)),
    );
    expect((await until(customer, id, hasEnded)).request_counts.completed).toBe(4);
    expect((await customer.ask({ model })).status).toBe(200);
  });

  it('starts no line while interactive requests wait for a node, and continues when none does', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    await node.report(BUSY);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a')]);
    const paused = await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);
    expect(paused).toMatchObject({ status: 'in_progress', tollgate: { paused_by: 'no_idle_capacity' } });
    expect(node.received).toHaveLength(0);
    await node.report();
    expect((await until(customer, id, hasEnded)).request_counts.completed).toBe(1);
  });

  it('waits for credit instead of failing its lines', async () => {
    const model = newModel();
    await network().add(model, greets);
    const customer = await Customer.withCredit(usd(0));
    const { id } = await create(customer, [hello(model, 'a')]);
    const paused = await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);
    expect(paused).toMatchObject({
      status: 'in_progress',
      request_counts: { completed: 0, failed: 0 },
      tollgate: { paused_by: 'insufficient_balance' },
    });
  });

  it('waits while its account is suspended, and continues when the account is resumed', async () => {
    const model = newModel();
    await network().add(model, greets);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a')]);
    const { accountId } = customer;
    const setSuspended = (atMs: number | null) =>
      env.DB.prepare('UPDATE account SET suspended_at_ms = ? WHERE id = ?').bind(atMs, accountId).run();
    await setSuspended(1);
    // The key is cached as valid for a few seconds, so the batch can still be read with it.
    const paused = await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);
    expect(paused).toMatchObject({ status: 'in_progress', tollgate: { paused_by: 'account_suspended' } });
    await setSuspended(null);
    expect((await until(customer, id, hasEnded)).request_counts.completed).toBe(1);
  });

  it('finishes running lines when it is cancelled, and starts no more', async () => {
    const model = newModel();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const node = await network().add(model, async () => {
      await released;
      return greets();
    });
    // The node has room for one line only.
    await node.report({ load: { ...QUIET_LOAD, max_running_requests: 4, running_requests: 2 } });
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(
      customer,
      ['a', 'b', 'c'].map((each) => hello(model, each)),
    );
    await expect.poll(() => node.received.length, { timeout: 60_000 }).toBe(1);
    const cancelling = await call(customer, 'POST', `/v1/batches/${id}/cancel`);
    expect(await cancelling.json()).toMatchObject({ status: 'cancelling' });
    release();
    const ended = await until(customer, id, hasEnded);
    expect(ended).toMatchObject({ status: 'cancelled', request_counts: { completed: 1, failed: 2 } });
    const faults = await results(customer, ended.error_file_id);
    expect(faults.map(({ custom_id, error }) => [custom_id, error!.code])).toEqual([
      ['b', 'batch_cancelled'],
      ['c', 'batch_cancelled'],
    ]);
    expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) - LINE_CHARGE });
  });

  it('continues after a crash: a line that was running runs again, and is charged once', async () => {
    const model = newModel();
    let hangs = true;
    const node = await network().add(model, async () => {
      if (hangs) await wait(60_000);
      return greets();
    });
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a')]);
    await expect.poll(() => node.received.length, { timeout: 60_000 }).toBe(1);
    const crash = runInDurableObject(env.BATCH.getByName(id), (_, state) => state.abort('a crash'));
    await crash.catch(() => undefined);
    hangs = false;
    const ended = await until(customer, id, hasEnded);
    expect(ended.request_counts).toEqual({ total: 1, completed: 1, failed: 0 });
    expect(await results(customer, ended.output_file_id)).toHaveLength(1);
    expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) - LINE_CHARGE });
  });

  it('continues after a crash: a stored answer is charged and not generated again', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    await node.report(BUSY);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a')]);
    await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);

    // This is the state of an object that dies after it stores an answer and before it pays for it.
    const requestId = newId('req', Date.now());
    const price = { id: `${model}/batch`, cacheHitNanoUsd: 50, cacheMissNanoUsd: 250, outputNanoUsd: 1_000 };
    await customer.wallet.admit({
      requestId,
      keyId: customer.keyId,
      modelId: model,
      stream: false,
      limits: limited(),
      tokens: 0,
      price,
      hold: { wantedNanoUsd: nanoUsd(100_000), leastNanoUsd: nanoUsd(1) },
      background: true,
    });
    const usage = { promptTokens: 10, cachedTokens: 0, completionTokens: 2, reasoningTokens: 0 };
    const settlement: Settlement = {
      requestId,
      accountId: customer.accountId,
      nodeId: node.id,
      ending: 'finished',
      billed: { usage, ttftMs: 1 },
      chargeNanoUsd: LINE_CHARGE,
    };
    const kept = JSON.stringify({ custom_id: 'a', kept: true });
    await runInDurableObject(env.BATCH.getByName(id), (_, { storage: { sql } }) => {
      sql.exec(
        "UPDATE line SET state = 'answered', request_id = ?, result = ?, settlement = ?",
        requestId,
        kept,
        JSON.stringify(settlement),
      );
    });
    const ended = await until(customer, id, hasEnded);
    expect(await results(customer, ended.output_file_id)).toEqual([{ custom_id: 'a', kept: true }]);
    const left = () =>
      runInDurableObject(env.BATCH.getByName(id), (_, { storage: { sql } }) =>
        sql.exec('SELECT count(*) AS lines FROM line').one(),
      );
    await expect.poll(left).toEqual({ lines: 0 });
    expect(node.received).toHaveLength(0);
    expect(await customer.wallet.request(requestId)).toMatchObject({
      state: 'posted',
      chargeNanoUsd: LINE_CHARGE,
    });
  });

  it('expires after its day: lines that have not started are not charged', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    await node.report(BUSY);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a'), hello(model, 'b')]);
    await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);
    await runInDurableObject(env.BATCH.getByName(id), (_, { storage: { sql } }) => {
      sql.exec("UPDATE job SET facts = json_set(facts, '$.order.expiresAtMs', 1)");
    });
    const ended = await until(customer, id, hasEnded);
    expect(ended).toMatchObject({ status: 'expired', request_counts: { completed: 0, failed: 2 } });
    const faults = await results(customer, ended.error_file_id);
    expect(faults.map(({ error }) => error!.code)).toEqual(['batch_expired', 'batch_expired']);
    expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: usd(1) });
  });

  it('ends when its key is revoked, and names the reason', async () => {
    const model = newModel();
    const node = await network().add(model, greets);
    await node.report(BUSY);
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, [hello(model, 'a')]);
    await until(customer, id, ({ tollgate }) => tollgate.paused_by !== null);
    await env.DB.prepare('update api_key set revoked_at_ms = 1 where id = ?').bind(customer.keyId).run();
    const other = await Customer.withCredit(usd(1));
    await env.DB.prepare('update api_key set account_id = ? where id = ?')
      .bind(customer.accountId, other.keyId)
      .run();
    const ended = await until(other, id, hasEnded);
    expect(ended).toMatchObject({ status: 'cancelled', errors: { data: [{ code: 'key_revoked' }] } });
    expect(node.received).toHaveLength(0);
  });

  it.each([
    ['no line', [''], 'empty_file'],
    [
      'more than 50,000 lines',
      Array.from({ length: 50_001 }, (_, i) => `{"custom_id":"${i}"}`),
      'too_many_lines',
    ],
  ])('fails as a whole with %s', async (_, lines, code) => {
    const customer = await Customer.withCredit(usd(1));
    const { id } = await create(customer, lines);
    const ended = await until(customer, id, hasEnded);
    expect(ended).toMatchObject({ status: 'failed', errors: { data: [{ code }] } });
  });
});

describe('files', () => {
  it('are returned unchanged, listed and deleted', async () => {
    const customer = await Customer.withCredit(usd(0));
    // Large enough to be stored in several parts.
    const content = `${JSON.stringify({ text: 'é'.repeat(1_000) })}\n`.repeat(3_000);
    const file = (await (await upload(customer, content)).json()) as { id: string; bytes: number };
    expect(file).toMatchObject({ object: 'file', purpose: 'batch', filename: 'lines.jsonl' });
    expect(file.bytes).toBe(new TextEncoder().encode(content).byteLength);
    const returned = await call(customer, 'GET', `/v1/files/${file.id}/content`);
    expect((await returned.text()) === content).toBe(true);
    expect(returned.headers.get('content-disposition')).toBe(`attachment; filename="${file.id}.jsonl"`);
    const list = await call(customer, 'GET', '/v1/files?limit=1');
    expect(await list.json()).toMatchObject({ data: [{ id: file.id }], has_more: false });
    const deleted = await call(customer, 'DELETE', `/v1/files/${file.id}`);
    expect(await deleted.json()).toEqual({ id: file.id, object: 'file', deleted: true });
    expect((await call(customer, 'GET', `/v1/files/${file.id}/content`)).status).toBe(404);
    expect((await env.FILES.list({ prefix: `files/${file.id}/` })).objects).toEqual([]);
  });

  it.each([
    [
      'more fields than are read',
      Object.fromEntries('abcdefghij'.split('').map((name) => [name, name])),
      'x\n',
      'file',
    ],
    ['a field whose end is not read', { note: 'x'.repeat(1_025) }, 'x\n', 'file'],
    ['another purpose', { purpose: 'fine-tune' }, 'x\n', 'purpose'],
    ['nothing in it', {}, '', 'file'],
    ['a line without an end', {}, 'x'.repeat(9_000_000), 'file'],
  ])('with %s are refused, and leave no parts behind', async (_, fields, content, param) => {
    const customer = await Customer.withCredit(usd(0));
    const before = (await env.FILES.list()).objects.length;
    const refused = await upload(customer, content, fields as Record<string, string>);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { param } });
    expect((await env.FILES.list()).objects).toHaveLength(before);
  });

  it.each([
    ['a compressed file', '\u001f\u0008\u0000', 'lines.jsonl'],
    ['a compressed file under another name', 'PK\u0003\u0004', 'lines'],
    ['a page', '<script>alert(1)</script>\n', 'lines.html'],
    ['a program', 'x\n', 'lines.jsonl.exe'],
  ])('are lines of text: %s is refused, and leaves no parts behind', async (_, content, name) => {
    const customer = await Customer.withCredit(usd(0));
    const before = (await env.FILES.list()).objects.length;
    const refused = await upload(customer, content, {}, name);
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param: 'file' } }]);
    expect((await env.FILES.list()).objects).toHaveLength(before);
    for (const good of ['lines.JSONL', 'lines', 'a.b.ndjson'])
      expect((await upload(customer, 'x\n', {}, good)).status).toBe(200);
  });

  it('and batches of another account are not found', async () => {
    const [owner, stranger] = [await Customer.withCredit(usd(0)), await Customer.withCredit(usd(0))];
    const { id } = await create(owner, ['x']);
    const { input_file_id: fileId } = await get(owner, id);
    for (const [method, path] of [
      ['GET', `/v1/files/${fileId}`],
      ['GET', `/v1/files/${fileId}/content`],
      ['DELETE', `/v1/files/${fileId}`],
      ['GET', `/v1/batches/${id}`],
      ['POST', `/v1/batches/${id}/cancel`],
      ['GET', "/v1/files/file_' or 1=1"],
    ] as const) {
      const answered = await call(stranger, method, path);
      expect([path, answered.status]).toEqual([path, 404]);
    }
    const body = { input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const refused = await call(stranger, 'POST', '/v1/batches', body);
    expect(await refused.json()).toMatchObject({ error: { param: 'input_file_id' } });
  });

  it('cannot be deleted while a batch reads them', async () => {
    const model = newModel();
    await (await network().add(model, greets)).report(BUSY);
    const customer = await Customer.withCredit(usd(1));
    const { id, input_file_id: fileId } = await create(customer, [hello(model, 'a')]);
    expect((await call(customer, 'DELETE', `/v1/files/${fileId}`)).status).toBe(409);
    await call(customer, 'POST', `/v1/batches/${id}/cancel`);
    await until(customer, id, hasEnded);
    expect((await call(customer, 'DELETE', `/v1/files/${fileId}`)).status).toBe(200);
  });
});
