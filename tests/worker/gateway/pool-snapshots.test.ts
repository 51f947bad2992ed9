/** How isolates know their pools: through the cache of their data center, seldom, and without waiting where they can. */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SHAPE, toText } from '../../../worker/domain/pool-text.ts';
import type { Env } from '../../../worker/env.ts';
import { Snapshots } from '../../../worker/gateway/node/pool-snapshots.ts';
import { wait } from '../fake-node.ts';
import { env } from './client.ts';

let pools = 0;
let modelId: string;
let asked: number;
/** what the Pool does when it is asked */
let answer: () => Promise<string>;
let using: Env;
beforeEach(() => {
  pools += 1;
  modelId = `pool-${pools}`;
  asked = 0;
  answer = async () => textNow();
  const routes = () => {
    asked += 1;
    return answer();
  };
  using = { ...env, POOL: { getByName: () => ({ routes }) } as unknown as Env['POOL'] };
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const textNow = () => toText({ atMs: Date.now(), nodes: [] });
const silent = () => Promise.reject(new Error('the Pool is silent'));
const hangs = () => new Promise<never>(() => undefined);

/** What an isolate knows now; behind it a refresh may go on. */
async function read(isolate: Snapshots): Promise<{ atMs: number; behind: Promise<unknown> }> {
  const context = createExecutionContext();
  const behind: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>) => {
    behind.push(promise);
    context.waitUntil(promise);
  };
  const { atMs } = await isolate.get(using, { modelId, nowMs: Date.now(), waitUntil });
  return { atMs, behind: Promise.all(behind) };
}

async function settled(isolate: Snapshots): Promise<number> {
  const { atMs, behind } = await read(isolate);
  await behind;
  return atMs;
}

function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

it('an isolate asks once a second, and behind the request that finds its snapshot old', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await settled(isolate);
  passTime(999);
  expect(await settled(isolate)).toBe(first);
  expect(asked).toBe(1);
  passTime(1);
  answer = hangs;
  expect((await read(isolate)).atMs).toBe(first);
  await vi.waitFor(() => expect(asked).toBe(2));
});

it('a request that finds a snapshot of two seconds waits for a new one', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await settled(isolate);
  passTime(1_999);
  answer = hangs;
  expect((await read(isolate)).atMs).toBe(first);
  const other = new Snapshots();
  answer = async () => textNow();
  await settled(other);
  passTime(2_000);
  expect(await settled(other)).toBe(first + 3_999);
});

it('many requests at once are one refresh, whether there was a snapshot or not', async () => {
  const isolate = new Snapshots();
  passTime(0);
  answer = async () => {
    await wait(30);
    return textNow();
  };
  for (const calls of [1, 2]) {
    const reads = await Promise.all(Array.from({ length: 50 }, () => settled(isolate)));
    expect(new Set(reads).size).toBe(1);
    expect(asked).toBe(calls);
    passTime(2_500);
  }
});

it('a second of many isolates of a data center is one call to the Pool', async () => {
  passTime(0);
  const first = await settled(new Snapshots());
  // no more than can read within two real seconds: the cache drops what it has after them
  const isolates = Array.from({ length: 100 }, () => new Snapshots());
  for (const isolate of isolates.slice(0, 50)) expect((await read(isolate)).atMs).toBe(first);
  passTime(999);
  for (const isolate of isolates.slice(50)) expect((await read(isolate)).atMs).toBe(first);
  expect(asked).toBe(1);
  passTime(1);
  expect(await settled(new Snapshots())).toBe(first + 1_000);
  expect(asked).toBe(2);
});

it('isolates ask one at a time: the others wait for what is coming, or take what is not too old', async () => {
  passTime(0);
  let coming = Promise.withResolvers<string>();
  answer = () => coming.promise;
  const isolates = () => Promise.all(Array.from({ length: 30 }, () => settled(new Snapshots())));
  const begun = async (calls: number) => {
    await vi.waitFor(() => expect(asked).toBe(calls));
    // its claim has to arrive
    await wait(30);
  };
  const first = settled(new Snapshots());
  await begun(1);
  const others = isolates();
  await wait(50);
  coming.resolve(textNow());
  const atMs = await first;
  expect(new Set(await others)).toEqual(new Set([atMs]));
  expect(asked).toBe(1);

  passTime(1_500);
  // the claim of the first is over by then
  await wait(1_000);
  coming = Promise.withResolvers<string>();
  const second = settled(new Snapshots());
  await begun(2);
  expect(new Set(await isolates())).toEqual(new Set([atMs]));
  expect(asked).toBe(2);
  coming.resolve(textNow());
  expect(await second).toBeGreaterThanOrEqual(atMs + 1_500);
});

it('an isolate that died with its claim holds nobody up for long', async () => {
  answer = hangs;
  const died = read(new Snapshots());
  await vi.waitFor(() => expect(asked).toBe(1));
  await wait(30);
  answer = async () => textNow();
  const startedMs = performance.now();
  await settled(new Snapshots());
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  expect(asked).toBe(2);
  void died;
});

it('what the cache has from another clock is not believed', async () => {
  passTime(0);
  await settled(new Snapshots());
  for (const skewMs of [5_000, -5_000]) {
    passTime(skewMs);
    await settled(new Snapshots());
  }
  expect(asked).toBe(3);
});

it('a cache that fails costs a call and nothing else', async () => {
  vi.spyOn(caches, 'open').mockRejectedValue(new Error('no cache here'));
  for (let i = 1; i <= 3; i++) {
    await settled(new Snapshots());
    expect(asked).toBe(i);
  }
  vi.restoreAllMocks();
  const broken = { match: () => silent(), put: () => silent() } as unknown as Cache;
  vi.spyOn(caches, 'open').mockResolvedValue(broken);
  await settled(new Snapshots());
  expect(asked).toBe(4);
});

it('what is cached is not where visitors of the zone could ask for it', async () => {
  await settled(new Snapshots());
  const key = `https://pool.internal/${SHAPE}/${encodeURIComponent('https://tollgate.test')}/${modelId}`;
  expect(await (await caches.open('pools')).match(key)).toBeDefined();
  expect(await caches.default.match(key)).toBeUndefined();
});

it('while the Pool is silent the last good snapshot serves, and the Pool is left in peace', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await settled(isolate);
  passTime(60_000);
  answer = silent;
  for (let i = 0; i < 20; i++) expect(await settled(isolate)).toBe(first);
  expect(asked).toBe(2);
  passTime(1_000);
  answer = async () => textNow();
  expect(await settled(isolate)).toBe(first + 61_000);
});

it('while the Pool hangs nobody waits for long, and after two seconds it is asked again', async () => {
  const isolate = new Snapshots();
  const first = await settled(isolate);
  passTime(60_000);
  answer = hangs;
  const startedMs = performance.now();
  const reads = await Promise.all(Array.from({ length: 20 }, () => read(isolate)));
  expect(new Set(reads.map(({ atMs }) => atMs))).toEqual(new Set([first]));
  expect(performance.now() - startedMs).toBeLessThan(1_500);
  expect(asked).toBe(2);
  passTime(2_000);
  answer = async () => textNow();
  expect(await settled(isolate)).toBe(Date.now());
});

it('without any snapshot the failure of the Pool is the caller’s', async () => {
  answer = silent;
  const isolate = new Snapshots();
  await expect(read(isolate)).rejects.toThrow('silent');
  answer = async () => textNow();
  await settled(isolate);
});

it('a refresh that was lost and comes late does not bring old news', async () => {
  const isolate = new Snapshots();
  passTime(0);
  await settled(isolate);
  passTime(1_000);
  const late = Promise.withResolvers<string>();
  const old = textNow();
  answer = () => late.promise;
  const { behind } = await read(isolate);
  passTime(2_500);
  answer = async () => textNow();
  const fresh = await settled(isolate);
  late.resolve(old);
  await behind;
  expect((await read(isolate)).atMs).toBe(fresh);
});
