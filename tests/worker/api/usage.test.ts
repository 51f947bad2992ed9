/** The usage API: sums by minute, hour and day equal the charges, in JSON and in CSV, page by page. */
import Papa from 'papaparse';
import { beforeEach, describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { project } from '../../../worker/db/projection.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { RequestRecord } from '../../../worker/domain/wallet.ts';
import { call } from '../batches/fixtures.ts';
import { Customer, env } from '../gateway/client.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A noon of last week: its requests are in the database. */
const NOON = (Math.floor(Date.now() / DAY) - 9) * DAY + 12 * HOUR;
const at = (offsetMs: number) => new Date(NOON + offsetMs).toISOString();
const dayAgo = (days: number) => new Date(NOON - days * DAY).toISOString().slice(0, 10);

let customer: Customer;
let records: RequestRecord[];

/** Requests as the Wallet publishes them to D1: two keys, two models, over two days. */
beforeEach(async () => {
  customer = await Customer.withCredit(usd(1));
  const times = [0, 1, 1, 59, 60, 61, 25 * 60].map((minutes) => NOON + minutes * MINUTE);
  records = times.map((admittedAtMs, at) => ({
    requestId: newId('req', admittedAtMs),
    keyId: at % 2 === 0 ? 'key_a' : '=key_b',
    modelId: at % 3 === 0 ? 'model-0' : 'model-1',
    stream: true,
    state: 'posted',
    ending: 'finished',
    nodeId: 'node_a',
    admittedAtMs,
    endedAtMs: admittedAtMs + 500,
    heldNanoUsd: nanoUsd(0),
    price: { id: 'model-0/1', cacheHitNanoUsd: 100, cacheMissNanoUsd: 500, outputNanoUsd: 2_000 },
    usage: { promptTokens: 10 + at, cachedTokens: at, completionTokens: 7, reasoningTokens: 3 },
    chargeNanoUsd: nanoUsd(at * 100 + 5_000 + 14_000),
    entrySeq: at + 1,
    ttftMs: 5,
  }));
  const { accountId } = customer;
  const requests = records.map((request) => ({ ...request, grantedNanoUsd: nanoUsd(0) }));
  await project(database(env), accountId, [{ seq: 1, item: { kind: 'usage', accountId, requests } }]);
});

interface Row {
  start: string;
  key_id?: string;
  model?: string;
  requests: number;
  prompt_tokens: number;
  charge: string;
  charge_nano_usd: number;
}
interface Page {
  data: Row[];
  has_more: boolean;
  next: string | null;
  error?: { param: string };
}

const SPAN = `start=${at(-12 * HOUR)}&end=${dayAgo(-2)}`;

async function usage(query: string): Promise<Page> {
  return (await call(customer, 'GET', `/v1/usage?${query}`)).json();
}

const sum = (rows: readonly { charge_nano_usd: number }[]) =>
  rows.reduce((total, row) => total + row.charge_nano_usd, 0);

describe('usage', () => {
  it.each(['hour', 'day'])('by the %s sums up to the charges in every grouping', async (bucket) => {
    const charged = records.reduce((total, { chargeNanoUsd }) => total + chargeNanoUsd, 0);
    for (const group of ['', 'key', 'model', 'key,model']) {
      const { data } = await usage(`${SPAN}&bucket=${bucket}&group_by=${group}`);
      expect(sum(data)).toBe(charged);
      expect(data.every((row) => 'key_id' in row === group.includes('key'))).toBe(true);
      expect(data.map(({ start }) => start)).toEqual(data.map(({ start }) => start).sort());
    }
  });

  it('by the minute is computed from the requests themselves', async () => {
    const { data } = await usage(`start=${at(0)}&end=${at(HOUR)}&bucket=minute&group_by=`);
    expect(data.map(({ start, requests }) => [start.slice(11, 16), requests])).toEqual([
      ['12:00', 1],
      ['12:01', 2],
      ['12:59', 1],
    ]);
  });

  it('is narrowed to a key and a model, and to the span', async () => {
    const { data } = await usage(`${SPAN}&bucket=hour&key_id=key_a&model=model-1`);
    const expected = records.filter(({ keyId, modelId }) => keyId === 'key_a' && modelId === 'model-1');
    expect(sum(data)).toBe(expected.reduce((total, { chargeNanoUsd }) => total + chargeNanoUsd, 0));
    const seconds = `start=${(NOON + HOUR) / 1_000}&end=${(NOON + 2 * HOUR) / 1_000}&bucket=hour&group_by=`;
    expect((await usage(seconds)).data.map(({ requests }) => requests)).toEqual([2]);
  });

  it.each(['minute', 'hour', 'day'])(
    'by the %s is that of the range alone, its end exclusive',
    async (bucket) => {
      // Cuts inside hours and minutes, at and beside requests: each request lies in exactly one of the ranges.
      const cuts = [-30 * MINUTE, 0, 1, MINUTE, 30 * MINUTE + 7, 59 * MINUTE, HOUR, HOUR + MINUTE + 1];
      const days = bucket === 'minute' ? [] : [25 * HOUR, 25 * HOUR + 1, 26 * HOUR];
      const ends = [...cuts, ...days].map((offset) => NOON + offset);
      for (const [at, from] of ends.slice(0, -1).entries()) {
        const to = ends[at + 1]!;
        const within = records.filter(({ admittedAtMs }) => from <= admittedAtMs && admittedAtMs < to);
        const range = `start=${new Date(from).toISOString()}&end=${new Date(to).toISOString()}`;
        const { data, ...answer } = await usage(`${range}&bucket=${bucket}&group_by=`);
        expect(answer).toMatchObject({
          start: new Date(from).toISOString(),
          end: new Date(to).toISOString(),
        });
        expect(
          data.reduce((n, { requests }) => n + requests, 0),
          range,
        ).toBe(within.length);
        expect(sum(data), range).toBe(within.reduce((total, { chargeNanoUsd }) => total + chargeNanoUsd, 0));
      }
    },
  );

  it('is paged without gaps or repetitions', async () => {
    const whole = await usage(`${SPAN}&bucket=hour`);
    const pages: Row[] = [];
    let query = `${SPAN}&bucket=hour&limit=2`;
    for (let page = await usage(query); ; page = await usage(query)) {
      pages.push(...page.data);
      expect(page.has_more).toBe(page.next !== null);
      if (page.next === null) break;
      query = `${SPAN}&bucket=hour&limit=2&after=${encodeURIComponent(page.next)}`;
    }
    expect(pages).toEqual(whole.data);
  });

  it('is available as CSV, from which a spreadsheet executes nothing', async () => {
    const response = await call(customer, 'GET', `/v1/usage?${SPAN}&bucket=hour&format=csv`);
    expect(response.headers.get('content-type')).toContain('text/csv');
    const text = await response.text();
    const { data, errors } = Papa.parse<Record<string, string>>(text, { header: true, skipEmptyLines: true });
    expect(errors).toEqual([]);
    expect(data.some(({ key_id }) => key_id === "'=key_b")).toBe(true);
    const total = data.reduce((before, row) => before + Number(row.charge_nano_usd), 0);
    expect(total).toBe(sum((await usage(`${SPAN}&bucket=hour`)).data));
  });

  it('is the account’s own', async () => {
    const stranger = await Customer.withCredit(usd(0));
    const theirs = await call(stranger, 'GET', `/v1/usage?${SPAN}`);
    expect(await theirs.json()).toMatchObject({ data: [] });
  });

  it.each([
    ['bucket=second', 'bucket'],
    ['start=yesterday', 'start'],
    ['start=2026-11-21&end=2026-11-20', 'start'],
    ['bucket=minute&start=2026-11-01&end=2026-11-20', 'start'],
    ['bucket=day&start=2020-01-01', 'start'],
    ['limit=0', 'limit'],
    ['limit=10001', 'limit'],
    ['format=xml', 'format'],
    ['group_by=node', 'group_by'],
    ['after=x', 'after'],
  ])('rejects %s and names the parameter', async (query, param) => {
    const { error } = await usage(query);
    expect(error?.param).toContain(param);
  });
});
