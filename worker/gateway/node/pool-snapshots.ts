/**
 * The pools as one isolate knows them. Thousands of isolates share a Pool, so they read it through the cache of their
 * data center, each about once a second and behind the requests that they serve.
 *
 * The cache is a help and nothing rests on it: it keeps nothing on workers.dev and behind Access, it is not shared
 * between data centers (developers.cloudflare.com/workers/runtime-apis/cache), and whatever it fails at costs one call
 * to the Pool.
 */
import type { PoolSnapshot } from '../../domain/node.ts';
import { fromText, SHAPE } from '../../domain/pool-text.ts';
import { config, type Env } from '../../env.ts';

/** From this age on a snapshot is refreshed behind the request that finds it old … */
const STALE_MS = 1_000;
/** … and from this age on the request waits for a new one, … */
const OLD_MS = 2_000;
/** … but no longer than this: the Pool is silent then, and the last good one serves. */
const PATIENCE_MS = 500;
/** An isolate that has none at all waits longer: without one it can only refuse. */
const FIRST_PATIENCE_MS = 5_000;
/** A refresh that has not ended by then is lost, and another begins. */
const LOST_MS = 2_000;
/** How often a request looks whether another's refresh has ended: a promise of another request may hang for ever. */
const LOOK_EVERY_MS = 5;

/** Not the cache that `fetch` and visitors of the zone share, and no public name. */
const CACHE_NAME = 'pools';
const CACHE_ORIGIN = 'https://pool.internal';
/** The platform counts in seconds. What is older than `STALE_MS` is for those who see that it is being refreshed. */
const CACHE_MAX_AGE_S = OLD_MS / 1_000;
/** A Pool that answers slowly is not asked by more for it; after an isolate that died with its claim others ask. */
const CLAIM_MAX_AGE_S = 1;
const LOOK_INTO_CACHE_EVERY_MS = 100;

interface Known {
  snapshot: PoolSnapshot | null;
  /** of the snapshot, by this isolate's clock */
  asOfMs: number;
  /** the one under way; one that was lost is no longer here when it ends */
  refresh: { sinceMs: number } | null;
  /** after one that failed: a Pool that is overloaded is not asked by every request */
  notBeforeMs: number;
}

export type WaitUntil = (promise: Promise<unknown>) => void;

interface Wish {
  readonly modelId: string;
  readonly nowMs: number;
  readonly waitUntil: WaitUntil;
}

export class Snapshots {
  readonly #pools = new Map<string, Known>();

  /** The last good one serves while the Pool is silent. @throws Error when there is none */
  async get(env: Env, wish: Wish): Promise<PoolSnapshot> {
    const { modelId, nowMs, waitUntil } = wish;
    const known = this.#known(modelId);
    // a clock that was set back makes nothing younger
    const ageMs = Math.abs(nowMs - known.asOfMs);
    const { snapshot } = known;
    if (snapshot !== null && ageMs < STALE_MS) return snapshot;
    const refreshing = known.refresh !== null && nowMs - known.refresh.sinceMs < LOST_MS;
    if (snapshot === null) {
      if (refreshing) await ended(known);
      return known.snapshot ?? within(FIRST_PATIENCE_MS, this.#refresh(env, wish));
    }
    if (refreshing) {
      if (ageMs >= OLD_MS) await ended(known);
    } else if (nowMs >= known.notBeforeMs) {
      const refreshed = this.#refresh(env, wish).catch(() => undefined);
      waitUntil(refreshed);
      if (ageMs >= OLD_MS) await Promise.race([refreshed, scheduler.wait(PATIENCE_MS)]);
    }
    return known.snapshot!;
  }

  #known(modelId: string): Known {
    const known = this.#pools.get(modelId);
    if (known !== undefined) return known;
    const fresh: Known = { snapshot: null, asOfMs: 0, refresh: null, notBeforeMs: 0 };
    this.#pools.set(modelId, fresh);
    return fresh;
  }

  async #refresh(env: Env, wish: Wish): Promise<PoolSnapshot> {
    const known = this.#known(wish.modelId);
    const refresh = { sinceMs: Date.now() };
    known.refresh = refresh;
    try {
      const read = await readPool(env, wish);
      if (known.refresh === refresh || known.snapshot === null) Object.assign(known, read);
      return read.snapshot;
    } catch (error) {
      known.notBeforeMs = Date.now() + STALE_MS;
      throw error;
    } finally {
      if (known.refresh === refresh) known.refresh = null;
    }
  }
}

/** @throws Error when it takes longer */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = scheduler.wait(ms).then(() => null);
  const done = await Promise.race([work, late]);
  if (done === null) throw new Error(`the Pool has not answered within ${ms} ms`);
  return done;
}

/** Waits until another request's refresh has ended, with patience. */
async function ended(known: Known): Promise<void> {
  const { refresh } = known;
  for (let waitedMs = 0; known.refresh === refresh && waitedMs < PATIENCE_MS; waitedMs += LOOK_EVERY_MS)
    await scheduler.wait(LOOK_EVERY_MS);
}

type Read = Pick<Known, 'asOfMs'> & { readonly snapshot: PoolSnapshot };

/** From the cache while that is young, else from the Pool: by one isolate of the data center, the others take what it got. */
async function readPool(env: Env, { modelId, waitUntil }: Wish): Promise<Read> {
  const { publicOrigin } = config(env);
  const key = `${CACHE_ORIGIN}/${SHAPE}/${encodeURIComponent(publicOrigin)}/${encodeURIComponent(modelId)}`;
  const cache = await caches.open(CACHE_NAME).catch(() => null);
  if (cache) {
    const kept = await keptIn(cache, key).catch(() => null);
    if (kept) return kept;
    const claim = forSeconds(String(Date.now()), CLAIM_MAX_AGE_S);
    waitUntil(cache.put(claimOf(key), claim).catch(() => undefined));
  }
  const asOfMs = Date.now();
  const text = await env.POOL.getByName(modelId).routes();
  const snapshot = await parsed(text, env, modelId);
  if (cache) waitUntil(cache.put(key, forSeconds(text, CACHE_MAX_AGE_S)).catch(() => undefined));
  return { snapshot, asOfMs };
}

/** While a new version is rolled out the Pool may be of another one than the isolate. */
async function parsed(text: string, env: Env, modelId: string): Promise<PoolSnapshot> {
  try {
    return fromText(text);
  } catch {
    return env.POOL.getByName(modelId).snapshot();
  }
}

/**
 * What is kept is believed while it is young by our own clock: where clocks differ the Pool is asked.
 * @returns null when it is for the caller to ask the Pool
 */
async function keptIn(cache: Cache, key: string): Promise<Read | null> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += LOOK_INTO_CACHE_EVERY_MS) {
    const text = await (await cache.match(key))?.text();
    const snapshot = text === undefined ? null : fromText(text);
    const kept = snapshot && ageOf(snapshot.atMs) < OLD_MS ? { snapshot, asOfMs: snapshot.atMs } : null;
    if (kept && ageOf(kept.asOfMs) < STALE_MS) return kept;
    const claimedAt = await (await cache.match(claimOf(key)))?.text();
    if (claimedAt === undefined || ageOf(Number(claimedAt)) >= CLAIM_MAX_AGE_S * 1_000) return null;
    if (kept) return kept;
    await scheduler.wait(LOOK_INTO_CACHE_EVERY_MS);
  }
  return null;
}

/** What an isolate puts there that asks the Pool, so that the others need not. */
function claimOf(key: string): string {
  return `${key}/claim`;
}

function forSeconds(text: string, maxAgeS: number): Response {
  return new Response(text, { headers: { 'cache-control': `max-age=${maxAgeS}` } });
}

function ageOf(atMs: number): number {
  return Math.abs(Date.now() - atMs);
}
