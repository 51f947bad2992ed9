/**
 * How isolates get snapshots of their pools: through the cache of their data center, rarely, and without waiting if
 * possible.
 */
import { createExecutionContext } from 'cloudflare:test';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { encodeSnapshot, SNAPSHOT_VERSION } from '../../../worker/domain/snapshot-text.ts';
import type { Env } from '../../../worker/env.ts';
import { Snapshots } from '../../../worker/gateway/node/pool-snapshots.ts';
import { wait } from '../fake-node.ts';
import { waitFor } from '../wait.ts';
import { env } from './client.ts';

/**
 * A data center's cache by the test's clock. The platform's cache uses the real clock, which would make tests depend on
 * the machine.
 */
class ClockedCache {
  readonly #entries = new Map<string, { text: string; endsMs: number }>();

  async match(key: string): Promise<Response | undefined> {
    const entry = this.#entries.get(key);
    return entry && Date.now() < entry.endsMs ? new Response(entry.text) : undefined;
  }

  async put(key: string, response: Response): Promise<void> {
    const maxAgeS = /^max-age=(\d+)$/.exec(response.headers.get('cache-control')!)![1]!;
    const text = await response.text();
    this.#entries.set(key, { text, endsMs: Date.now() + 1_000 * Number(maxAgeS) });
  }

  get keys(): string[] {
    return [...this.#entries.keys()];
  }
}

let pools = 0;
let cache: ClockedCache;
let modelId: string;
let poolCalls: number;
/** The Pool's reply to a call. */
let answer: () => Promise<string>;
let using: Env;
beforeEach(() => {
  pools += 1;
  modelId = `pool-${pools}`;
  poolCalls = 0;
  answer = async () => currentText();
  const snapshotText = () => {
    poolCalls += 1;
    return answer();
  };
  using = { ...env, POOL: { getByName: () => ({ snapshotText }) } as unknown as Env['POOL'] };
  cache = new ClockedCache();
  vi.spyOn(caches, 'open').mockResolvedValue(cache as unknown as Cache);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const currentText = () => encodeSnapshot({ atMs: Date.now(), nodes: [] });
const silent = () => Promise.reject(new Error('the Pool is silent'));
const hangs = () => new Promise<never>(() => undefined);

/** An isolate's snapshot now, and the refresh that may go on in the background. */
async function read(isolate: Snapshots): Promise<{ atMs: number; background: Promise<unknown> }> {
  const context = createExecutionContext();
  const background: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>) => {
    background.push(promise);
    context.waitUntil(promise);
  };
  const { atMs } = await isolate.get(using, { modelId, nowMs: Date.now(), waitUntil });
  return { atMs, background: Promise.all(background) };
}

async function readSettled(isolate: Snapshots): Promise<number> {
  const { atMs, background } = await read(isolate);
  await background;
  return atMs;
}

/** The longest wait of an isolate for its first snapshot (pool-snapshots.ts); it is raced, so it need not last that long. */
const FIRST_PATIENCE_MS = 5_000;

/** The sum of the requested delays. The real time would depend on the machine's speed. */
function waitedMs(calls: readonly (readonly [delay: number, ...unknown[]])[]): number {
  return calls.reduce((sum, [ms]) => sum + ms, 0);
}

function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

it('an isolate refreshes once a second, in the background of the request that finds its snapshot old', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await readSettled(isolate);
  passTime(999);
  expect(await readSettled(isolate)).toBe(first);
  expect(poolCalls).toBe(1);
  passTime(1);
  answer = hangs;
  expect((await read(isolate)).atMs).toBe(first);
  await waitFor(() => expect(poolCalls).toBe(2));
});

it('a request waits for a new snapshot when its own is two seconds old', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await readSettled(isolate);
  passTime(1_999);
  answer = hangs;
  expect((await read(isolate)).atMs).toBe(first);
  const other = new Snapshots();
  answer = async () => currentText();
  await readSettled(other);
  passTime(2_000);
  expect(await readSettled(other)).toBe(first + 3_999);
});

it('concurrent requests share one refresh, with or without a snapshot before', async () => {
  const isolate = new Snapshots();
  passTime(0);
  answer = async () => {
    await wait(30);
    return currentText();
  };
  for (const calls of [1, 2]) {
    const reads = await Promise.all(Array.from({ length: 50 }, () => readSettled(isolate)));
    expect(new Set(reads).size).toBe(1);
    expect(poolCalls).toBe(calls);
    passTime(2_500);
  }
});

it('many isolates of a data center make one call per second to the Pool', async () => {
  passTime(0);
  const first = await readSettled(new Snapshots());
  const isolates = Array.from({ length: 100 }, () => new Snapshots());
  for (const isolate of isolates.slice(0, 50)) expect((await read(isolate)).atMs).toBe(first);
  passTime(999);
  for (const isolate of isolates.slice(50)) expect((await read(isolate)).atMs).toBe(first);
  expect(poolCalls).toBe(1);
  passTime(1);
  expect(await readSettled(new Snapshots())).toBe(first + 1_000);
  expect(poolCalls).toBe(2);
});

it('isolates call the Pool one at a time: the others wait for the result, or use a snapshot that is not too old', async () => {
  passTime(0);
  let pending = Promise.withResolvers<string>();
  answer = () => pending.promise;
  const isolates = () => Promise.all(Array.from({ length: 30 }, () => readSettled(new Snapshots())));
  const claimed = async (calls: number) => {
    await waitFor(() => expect(poolCalls).toBe(calls));
    await waitFor(() => expect(cache.keys).toContainEqual(expect.stringMatching(/claim$/)));
  };
  const first = readSettled(new Snapshots());
  await claimed(1);
  const others = isolates();
  await wait(50);
  pending.resolve(currentText());
  const atMs = await first;
  expect(new Set(await others)).toEqual(new Set([atMs]));
  expect(poolCalls).toBe(1);

  // by then the claim of the first has expired
  passTime(1_500);
  pending = Promise.withResolvers<string>();
  const second = readSettled(new Snapshots());
  await claimed(2);
  expect(new Set(await isolates())).toEqual(new Set([atMs]));
  expect(poolCalls).toBe(2);
  pending.resolve(currentText());
  expect(await second).toBeGreaterThanOrEqual(atMs + 1_500);
});

it('an isolate that died with its claim blocks the others only briefly', async () => {
  answer = hangs;
  const died = read(new Snapshots());
  await waitFor(() => expect(poolCalls).toBe(1));
  await waitFor(() => expect(cache.keys).toContainEqual(expect.stringMatching(/claim$/)));
  answer = async () => currentText();
  const waits = vi.spyOn(scheduler, 'wait');
  await readSettled(new Snapshots());
  expect(waitedMs(waits.mock.calls.filter(([ms]) => ms !== FIRST_PATIENCE_MS))).toBeLessThan(1_000);
  expect(poolCalls).toBe(2);
  void died;
});

it('a cached snapshot from a different clock is not used', async () => {
  passTime(0);
  await readSettled(new Snapshots());
  for (const skewMs of [5_000, -5_000]) {
    passTime(skewMs);
    await readSettled(new Snapshots());
  }
  expect(poolCalls).toBe(3);
});

it('a failing cache costs one call and nothing else', async () => {
  vi.spyOn(caches, 'open').mockRejectedValue(new Error('no cache here'));
  for (let i = 1; i <= 3; i++) {
    await readSettled(new Snapshots());
    expect(poolCalls).toBe(i);
  }
  const broken = { match: () => silent(), put: () => silent() } as unknown as Cache;
  vi.spyOn(caches, 'open').mockResolvedValue(broken);
  await readSettled(new Snapshots());
  expect(poolCalls).toBe(4);
});

it('cached snapshots are not reachable for visitors of the zone', async () => {
  vi.mocked(caches.open).mockRestore();
  await readSettled(new Snapshots());
  const key = `https://pool.internal/${SNAPSHOT_VERSION}/${encodeURIComponent('https://tollgate.test')}/${modelId}`;
  expect(await (await caches.open('pools')).match(key)).toBeDefined();
  expect(await caches.default.match(key)).toBeUndefined();
});

it('while the Pool is silent the last snapshot is used, and the Pool is called once a second', async () => {
  const isolate = new Snapshots();
  passTime(0);
  const first = await readSettled(isolate);
  passTime(60_000);
  answer = silent;
  for (let i = 0; i < 20; i++) expect(await readSettled(isolate)).toBe(first);
  expect(poolCalls).toBe(2);
  passTime(1_000);
  answer = async () => currentText();
  expect(await readSettled(isolate)).toBe(first + 61_000);
});

it('while the Pool hangs no request waits for long, and it is called again after two seconds', async () => {
  const isolate = new Snapshots();
  const first = await readSettled(isolate);
  passTime(60_000);
  answer = hangs;
  const waits = vi.spyOn(scheduler, 'wait');
  const reads = await Promise.all(Array.from({ length: 20 }, () => read(isolate)));
  expect(new Set(reads.map(({ atMs }) => atMs))).toEqual(new Set([first]));
  expect(waitedMs(waits.mock.calls) / reads.length).toBeLessThan(1_500);
  expect(poolCalls).toBe(2);
  passTime(2_000);
  answer = async () => currentText();
  expect(await readSettled(isolate)).toBe(Date.now());
});

it('without any snapshot a failure of the Pool is thrown', async () => {
  answer = silent;
  const isolate = new Snapshots();
  await expect(read(isolate)).rejects.toThrow('silent');
  answer = async () => currentText();
  await readSettled(isolate);
});

it('a lost refresh that ends late does not replace a newer snapshot', async () => {
  const isolate = new Snapshots();
  passTime(0);
  await readSettled(isolate);
  passTime(1_000);
  const late = Promise.withResolvers<string>();
  const old = currentText();
  answer = () => late.promise;
  const { background } = await read(isolate);
  passTime(2_500);
  answer = async () => currentText();
  const fresh = await readSettled(isolate);
  late.resolve(old);
  await background;
  expect((await read(isolate)).atMs).toBe(fresh);
});
