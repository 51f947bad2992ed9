/** A batch by the official client, on an edge that is killed while lines run: each line is answered and charged once. */
import { toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { balance, eventually, expectLaws, type Local, nano, startLocal } from './local.ts';

const LINES = 60;

let local: Local;
beforeAll(async () => {
  local = await startLocal({ settings: { TRIAL_GRANT_NANO_USD: '50000000000' } });
});
afterAll(() => local.end());

const FINAL_STATUSES = ['completed', 'failed', 'expired', 'cancelled'];

async function begin(lines: readonly string[]) {
  const { openai } = local;
  const file = await openai.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(lines.join('\n')), 'night.jsonl'),
  });
  return openai.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
}

function question(customId: string, content: string): string {
  const body = { model: 'deepseek-reasoner', messages: [{ role: 'user', content }], max_tokens: 400 };
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body });
}

interface Result {
  custom_id: string;
  response: { status_code: number; request_id: string; body: { usage: { cost_nano_usd: number } } };
}

async function resultsOf(fileId: string | undefined): Promise<Result[]> {
  if (!fileId) return [];
  const text = await (await local.openai.files.content(fileId)).text();
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Result);
}

it('a batch is resumed after each crash of the edge, and every line is charged once', async () => {
  const { openai, stack } = local;
  const { id } = await begin(
    Array.from({ length: LINES }, (_, i) => question(`q-${i}`, `Question ${i}? [[reasoning=90 answer=60]]`)),
  );
  const progress = async () => (await openai.batches.retrieve(id)).request_counts!.completed;
  for (const atLeast of [1, LINES / 2]) {
    await eventually(async () => (await progress()) >= atLeast, 60_000);
    expect(await progress()).toBeLessThan(LINES);
    stack.edge.signal('SIGKILL');
    await stack.edge.exited;
    await stack.restartEdge();
  }
  const batch = await eventually(async () => {
    const now = await openai.batches.retrieve(id);
    return FINAL_STATUSES.includes(now.status) && now;
  });
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: LINES, completed: LINES, failed: 0 },
  });
  const results = await resultsOf(batch.output_file_id);
  expect(new Set(results.map(({ custom_id }) => custom_id)).size).toBe(LINES);
  expect(results).toHaveLength(LINES);

  const spent = results.reduce((sum, { response }) => sum + response.body.usage.cost_nano_usd, 0);
  const { cost_nano_usd } = batch.usage as unknown as { cost_nano_usd: number };
  expect(cost_nano_usd).toBe(spent);
  expect(50_000_000_000 - nano((await balance(local)).total_balance)).toBe(spent);
  await expectLaws(local);
});

it('a client cancels a batch, lists its batches and deletes the input file', async () => {
  const { openai } = local;
  const lines = Array.from({ length: 300 }, (_, i) => question(`c-${i}`, `Slow ${i} [[answer=300]]`));
  const { id, input_file_id: fileId } = await begin(lines);
  await eventually(async () => (await openai.batches.retrieve(id)).status === 'in_progress');
  expect((await openai.batches.cancel(id)).status).toBe('cancelling');
  const batch = await eventually(async () => {
    const now = await openai.batches.retrieve(id);
    return now.status === 'cancelled' && now;
  });
  const { completed, failed, total } = batch.request_counts!;
  expect(completed + failed).toBe(total);
  expect(failed).toBeGreaterThan(0);
  expect((await resultsOf(batch.error_file_id)).length).toBe(failed);
  const listed: string[] = [];
  for await (const each of openai.batches.list({ limit: 1 })) listed.push(each.id);
  expect(listed[0]).toBe(id);
  expect(listed).toHaveLength(2);
  expect(await openai.files.delete(fileId)).toMatchObject({ deleted: true });
});
