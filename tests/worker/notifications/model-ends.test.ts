/** The end of a model: announced in time, told to everybody who used it, and then an error that names its successor. */
import { afterEach, expect, it, vi } from 'vitest';
import { announceEnd, withdrawEnd } from '../../../worker/billing/end-model.ts';
import { listAudit } from '../../../worker/db/audit.ts';
import { setModelEnd, withdrawModelEnd } from '../../../worker/db/model-end.ts';
import { saveNoticeSetting } from '../../../worker/db/notices.ts';
import { END_NOTICE_DAYS } from '../../../worker/domain/model-end.ts';

import { tellOfModelEnds } from '../../../worker/notifications/model-ends.ts';
import { OPERATOR, server } from '../fleet/fixtures.ts';
import { env, newModel } from '../gateway/client.ts';
import { db, newAccount, TaskHarness } from './fixtures.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const NOW = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
const END = NOW + END_NOTICE_DAYS * DAY_MS;
const JSON_HEADERS = { ...OPERATOR, 'content-type': 'application/json' };
const ACTOR = 'person_operator';

afterEach(() => void vi.useRealTimers());

const address = () => `${crypto.randomUUID()}@users.example`;

/** An account of an owner, a billing member, a developer and a viewer, that used a model some days ago. */
async function userOf(modelId: string, daysAgo: number) {
  const people = { owner: address(), billing: address(), developer: address(), viewer: address() };
  const accountId = await newAccount(people);
  await env.DB.prepare(
    `insert into usage_hour (account_id, hour_ms, key_id, model_id, requests, cached_tokens, uncached_tokens,
      reasoning_tokens, answer_tokens, charge_nano_usd) values (?, ?, 'key_1', ?, 1, 1000000, 2000000, 3000000, 1000000, 9100000000)`,
  )
    .bind(accountId, NOW - daysAgo * DAY_MS, modelId)
    .run();
  return { accountId, ...people };
}

const announce = (
  modelId: string,
  change: { endsAtMs?: number; successorId?: string | null; confirm?: string; nowMs?: number } = {},
) =>
  announceEnd(env, {
    modelId,
    endsAtMs: END,
    successorId: null,
    confirm: modelId,
    actor: ACTOR,
    nowMs: NOW,
    ...change,
  });

/** Runs the minute's job until nobody is left to tell, and returns the e-mails that it sent to these addresses. */
async function tell(harness: TaskHarness, nowMs: number, to: readonly string[]) {
  harness.emails.length = 0;
  for (let run = 0; run < 4; run++) await tellOfModelEnds(harness.env, nowMs);
  await harness.drain();
  return harness.emails.filter((email) => to.includes(email.to));
}

it('is told once to owners, billing members and developers of accounts that used the model in the last 30 days', async () => {
  const [modelId, successorId] = [newModel(), newModel()];
  const user = await userOf(modelId, 3);
  const former = await userOf(modelId, 31);
  const other = await userOf(newModel(), 3);
  expect(await announce(modelId, { successorId })).toBeNull();
  const harness = new TaskHarness();
  const addresses = [user, former, other].flatMap((each) => Object.values(each));
  const emails = await tell(harness, NOW, addresses);
  expect(emails.map(({ to }) => to).sort()).toEqual([user.owner, user.billing, user.developer].sort());
  // 1 M cached × 100 + 2 M × 500 + 4 M × 2,000 nano-USD
  for (const text of [modelId, successorId, '$9.10', '$9.10 at its standard prices', 'no', 'UTC'])
    expect(emails[0]!.text).toContain(text);
  expect(await tell(harness, NOW + 60_000, addresses)).toEqual([]);
});

it('reaches accounts that chose no e-mail, and reminds 30, 7 and 1 days before, and at the end', async () => {
  const modelId = newModel();
  const user = await userOf(modelId, 0);
  await saveNoticeSetting(db, {
    accountId: user.accountId,
    lowBalanceNanoUsd: null,
    capPercents: [],
    byEmail: false,
  });
  await announce(modelId);
  const harness = new TaskHarness();
  const told = [];
  for (const days of [60, 45, 30.5, 30, 29, 7, 1, 0.5, 0, -3]) {
    const nowMs = END - days * DAY_MS;
    await env.DB.prepare('update usage_hour set hour_ms = ? where account_id = ?')
      .bind(nowMs - DAY_MS, user.accountId)
      .run();
    vi.setSystemTime(nowMs);
    if ((await tell(harness, nowMs, [user.owner])).length > 0) told.push(days);
  }
  expect(told).toEqual([60, 30, 7, 1, 0]);
});

it('is withdrawn, and those who were told are told so', async () => {
  const modelId = newModel();
  const [early, late] = [await userOf(modelId, 2), await userOf(newModel(), 2)];
  await announce(modelId);
  const harness = new TaskHarness();
  expect(await tell(harness, NOW, [early.owner, late.owner])).toHaveLength(1);
  expect(await withdrawEnd(env, { modelId, actor: ACTOR, nowMs: NOW + 1 })).toBeNull();
  const emails = await tell(harness, NOW + 2, [early.owner, late.owner]);
  expect(emails.map(({ to, subject }) => [to, subject.includes(`${modelId} stays on sale`)])).toEqual([
    [early.owner, true],
  ]);
  expect(await withdrawEnd(env, { modelId, actor: ACTOR, nowMs: NOW + 3 })).toBe('no_end_announced');
  const actions = (await listAudit(db, 1_000))
    .filter(({ subject }) => subject === modelId)
    .map(({ action }) => action);
  expect(actions.sort()).toEqual(['model.end_announced', 'model.end_withdrawn']);
});

it('is told again when it is announced for the same time after its withdrawal, and so is a second withdrawal', async () => {
  const modelId = newModel();
  const { owner } = await userOf(modelId, 2);
  const harness = new TaskHarness();
  const subjects = [];
  for (const nowMs of [NOW - 1_000, NOW]) {
    expect(await announce(modelId, { nowMs: nowMs - 600 })).toBeNull();
    subjects.push(...(await tell(harness, nowMs - 400, [owner])));
    expect(await withdrawEnd(env, { modelId, actor: ACTOR, nowMs: nowMs - 200 })).toBeNull();
    subjects.push(...(await tell(harness, nowMs, [owner])));
  }
  const stays = subjects.map(({ subject }) => subject.includes('stays on sale'));
  expect(stays).toEqual([false, true, false, true]);
});

it('is withdrawn a second time without a word to those who had left the model before it was announced again', async () => {
  const modelId = newModel();
  const { accountId, owner } = await userOf(modelId, 2);
  const harness = new TaskHarness();
  expect(await announce(modelId, { nowMs: NOW - 4_000 })).toBeNull();
  expect(await tell(harness, NOW - 3_000, [owner])).toHaveLength(1);
  expect(await withdrawEnd(env, { modelId, actor: ACTOR, nowMs: NOW - 2_500 })).toBeNull();
  expect(await tell(harness, NOW - 2_000, [owner])).toHaveLength(1);
  await env.DB.prepare('delete from usage_hour where account_id = ?').bind(accountId).run();
  expect(await announce(modelId, { nowMs: NOW - 1_500 })).toBeNull();
  expect(await tell(harness, NOW - 1_000, [owner])).toEqual([]);
  expect(await withdrawEnd(env, { modelId, actor: ACTOR, nowMs: NOW - 500 })).toBeNull();
  expect(await tell(harness, NOW, [owner])).toEqual([]);
});

it('changes that come too late leave the stages of the later end: nobody is told of it twice', async () => {
  const modelId = newModel();
  const { owner } = await userOf(modelId, 2);
  await announce(modelId, { endsAtMs: END + DAY_MS });
  const harness = new TaskHarness();
  expect(await tell(harness, NOW, [owner])).toHaveLength(1);
  const stale = { id: modelId, endsAtMs: END, endAnnouncedAtMs: NOW, successorId: null, nowMs: NOW };
  const entry = { atMs: NOW, actor: ACTOR, action: 'model.end_withdrawn', subject: modelId, detail: {} };
  expect(await withdrawModelEnd(db, stale, entry)).toBe(false);
  expect(await tell(harness, NOW + 1_000, [owner])).toEqual([]);
  const earlier = { modelId, endsAtMs: END, successorId: null, nowMs: NOW };
  expect(await setModelEnd(db, earlier, entry)).toBe(false);
  expect(await tell(harness, NOW + 2_000, [owner])).toEqual([]);
});

it('of two operators at once, the one with the later end wins, and no end is moved forward', async () => {
  const modelId = newModel();
  const outcomes = await Promise.all([announce(modelId, { endsAtMs: END + DAY_MS }), announce(modelId)]);
  const row = await env.DB.prepare('select ends_at_ms from model where id = ?').bind(modelId).first();
  expect(row).toEqual({ ends_at_ms: END + DAY_MS });
  expect(outcomes).toContain(null);
  expect(await announce(modelId)).toBe('end_moved_forward');
  expect(await announce(modelId, { endsAtMs: END + 2 * DAY_MS, confirm: '' })).toBe('end_unconfirmed');
});

it('the operator API announces, names the field that is wrong, and withdraws', async () => {
  const modelId = newModel();
  const call = async (path: string, body: object) => {
    const request = { method: 'POST', headers: JSON_HEADERS, body: JSON.stringify(body) };
    const response = await server.request(`/operator/api/models/${modelId}/${path}`, request, env);
    const answer = (await response.json()) as {
      error?: { code: string; param: string | null };
      ends_at?: string;
    };
    return [response.status, answer.error?.code ?? answer.ends_at, answer.error?.param];
  };
  const endsAt = new Date(Date.now() + 61 * DAY_MS).toISOString();
  const soon = new Date(Date.now() + 59 * DAY_MS).toISOString();
  const body = { ends_at: endsAt, successor: null, confirm: modelId };
  expect(await call('end', { ...body, ends_at: soon })).toEqual([400, 'end_too_soon', 'ends_at']);
  expect(await call('end', { ...body, successor: 'nothing' })).toEqual([
    400,
    'successor_unknown',
    'successor',
  ]);
  expect(await call('end', { ...body, confirm: 'x' })).toEqual([409, 'end_unconfirmed', 'confirm']);
  expect(await call('end', body)).toEqual([200, endsAt, undefined]);
  expect(await call('end/withdraw', {})).toEqual([200, null, undefined]);
  expect(await call('end/withdraw', {})).toEqual([409, 'no_end_announced', null]);
});
