/**
 * Snapshots of the pools, as one isolate caches them. Thousands of isolates share a Pool object, so they read it through the
 * cache of their data center, each about once a second and in the background of the requests that they serve.
 *
 * The data center's cache is an optimization that nothing depends on: it stores nothing on workers.dev and behind Access, it
 * is not shared between data centers (developers.cloudflare.com/workers/runtime-apis/cache), and each of its failures costs
 * one call to the Pool.
 */
import type { PoolSnapshot } from '../../domain/node.ts';
import { decodeSnapshot, SNAPSHOT_VERSION } from '../../domain/snapshot-text.ts';
import { config, type Env } from '../../env.ts';

/** From this age on, a snapshot is still used but refreshed in the background. */
const STALE_MS = 1_000;
/** From this age on, a request waits for a new snapshot. */
const OLD_MS = 2_000;
/** The longest that a request waits for a refresh. After that the Pool counts as silent and the last snapshot is used. */
const PATIENCE_MS = 500;
/** The longest wait of an isolate that has no snapshot at all: without one it can only reject the request. */
const FIRST_PATIENCE_MS = 5_000;
/** A refresh that has run this long counts as lost, and another one starts. */
const LOST_MS = 2_000;
/**
 * How often a request polls whether another request's refresh has ended. It polls because a promise that was created by
 * another request may never resolve.
 */
const POLL_REFRESH_EVERY_MS = 5;

/** A cache of its own under a name that is not public, apart from the one that `fetch` and visitors of the zone share. */
const CACHE_NAME = 'pools';
const CACHE_ORIGIN = 'https://pool.internal';
/**
 * Cache-Control counts whole seconds, so entries outlive `STALE_MS`; a stale one is used only while another isolate's
 * refresh claim is live.
 */
const CACHE_MAX_AGE_S = OLD_MS / 1_000;
/**
 * While one isolate refreshes, the others do not call the Pool. The claim lapses after 1 s, so a dead isolate blocks
 * nobody.
 */
const CLAIM_MAX_AGE_S = 1;
const POLL_CACHE_EVERY_MS = 100;

/** The isolate's state of one pool. */
interface PoolState {
  snapshot: PoolSnapshot | null;
  /** Time of the snapshot, by this isolate's clock. */
  asOfMs: number;
  /** The refresh under way; a lost one has been replaced here by the time it ends. */
  refresh: { startedMs: number } | null;
  /** No refresh before this time: after a failure not every request may call a Pool that is overloaded. */
  notBeforeMs: number;
}

export type WaitUntil = (promise: Promise<unknown>) => void;

interface SnapshotRequest {
  readonly modelId: string;
  readonly nowMs: number;
  readonly waitUntil: WaitUntil;
}

export class Snapshots {
  readonly #pools = new Map<string, PoolState>();

  /** The pool's latest snapshot. While the Pool is silent, the last one is used. @throws Error when there is none */
  async get(env: Env, request: SnapshotRequest): Promise<PoolSnapshot> {
    const { modelId, nowMs, waitUntil } = request;
    const pool = this.#stateOf(modelId);
    // the absolute value, so that a clock that was set back does not make a snapshot look young
    const ageMs = Math.abs(nowMs - pool.asOfMs);
    const { snapshot } = pool;
    if (snapshot !== null && ageMs < STALE_MS) return snapshot;
    const refreshing = pool.refresh !== null && nowMs - pool.refresh.startedMs < LOST_MS;
    if (snapshot === null) {
      if (refreshing) await refreshEnded(pool);
      return pool.snapshot ?? within(FIRST_PATIENCE_MS, this.#refresh(env, request));
    }
    if (refreshing) {
      if (ageMs >= OLD_MS) await refreshEnded(pool);
    } else if (nowMs >= pool.notBeforeMs) {
      const refreshed = this.#refresh(env, request).catch(() => undefined);
      waitUntil(refreshed);
      if (ageMs >= OLD_MS) await Promise.race([refreshed, scheduler.wait(PATIENCE_MS)]);
    }
    return pool.snapshot!;
  }

  #stateOf(modelId: string): PoolState {
    const pool = this.#pools.get(modelId);
    if (pool !== undefined) return pool;
    const fresh: PoolState = { snapshot: null, asOfMs: 0, refresh: null, notBeforeMs: 0 };
    this.#pools.set(modelId, fresh);
    return fresh;
  }

  async #refresh(env: Env, request: SnapshotRequest): Promise<PoolSnapshot> {
    const pool = this.#stateOf(request.modelId);
    const refresh = { startedMs: Date.now() };
    pool.refresh = refresh;
    try {
      const dated = await readPool(env, request);
      if (pool.refresh === refresh || pool.snapshot === null) Object.assign(pool, dated);
      return dated.snapshot;
    } catch (error) {
      pool.notBeforeMs = Date.now() + STALE_MS;
      throw error;
    } finally {
      if (pool.refresh === refresh) pool.refresh = null;
    }
  }
}

/** Awaits a promise. @throws Error when it takes longer than `ms` */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const timeout = scheduler.wait(ms).then(() => null);
  const result = await Promise.race([promise, timeout]);
  if (result === null) throw new Error(`the Pool has not answered within ${ms} ms`);
  return result;
}

/** Waits until another request's refresh has ended, at most `PATIENCE_MS`. */
async function refreshEnded(pool: PoolState): Promise<void> {
  const { refresh } = pool;
  for (
    let waitedMs = 0;
    pool.refresh === refresh && waitedMs < PATIENCE_MS;
    waitedMs += POLL_REFRESH_EVERY_MS
  )
    await scheduler.wait(POLL_REFRESH_EVERY_MS);
}

type DatedSnapshot = Pick<PoolState, 'asOfMs'> & { readonly snapshot: PoolSnapshot };

/**
 * Reads a snapshot from the data center's cache while the entry is young, otherwise from the Pool. One isolate of the data
 * center calls the Pool, and the others use the entry that it stores.
 */
async function readPool(env: Env, { modelId, waitUntil }: SnapshotRequest): Promise<DatedSnapshot> {
  const { publicOrigin } = config(env);
  const key = `${CACHE_ORIGIN}/${SNAPSHOT_VERSION}/${encodeURIComponent(publicOrigin)}/${encodeURIComponent(modelId)}`;
  const cache = await caches.open(CACHE_NAME).catch(() => null);
  if (cache) {
    const cached = await readCache(cache, key).catch(() => null);
    if (cached) return cached;
    const claim = cacheable(String(Date.now()), CLAIM_MAX_AGE_S);
    waitUntil(cache.put(claimKey(key), claim).catch(() => undefined));
  }
  const asOfMs = Date.now();
  const text = await env.POOL.getByName(modelId).snapshotText();
  const snapshot = await parseSnapshot(text, env, modelId);
  if (cache) waitUntil(cache.put(key, cacheable(text, CACHE_MAX_AGE_S)).catch(() => undefined));
  return { snapshot, asOfMs };
}

/**
 * Parses the Pool's compact text. While a new version is rolled out, the Pool may run another version than the isolate, and
 * its text may not parse; then the snapshot is fetched as an object.
 */
async function parseSnapshot(text: string, env: Env, modelId: string): Promise<PoolSnapshot> {
  try {
    return decodeSnapshot(text);
  } catch {
    return env.POOL.getByName(modelId).snapshot();
  }
}

/**
 * Reads the cached snapshot, which must be young by this isolate's own clock: where clocks differ, the Pool is called
 * instead. Waits while another isolate's claim is live.
 * @returns null when the caller should call the Pool
 */
async function readCache(cache: Cache, key: string): Promise<DatedSnapshot | null> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += POLL_CACHE_EVERY_MS) {
    const text = await (await cache.match(key))?.text();
    const snapshot = text === undefined ? null : decodeSnapshot(text);
    const cached = snapshot && ageOf(snapshot.atMs) < OLD_MS ? { snapshot, asOfMs: snapshot.atMs } : null;
    if (cached && ageOf(cached.asOfMs) < STALE_MS) return cached;
    const claimedAt = await (await cache.match(claimKey(key)))?.text();
    if (claimedAt === undefined || ageOf(Number(claimedAt)) >= CLAIM_MAX_AGE_S * 1_000) return null;
    if (cached) return cached;
    await scheduler.wait(POLL_CACHE_EVERY_MS);
  }
  return null;
}

/** The cache key under which an isolate claims the refresh, so that the other isolates do not call the Pool. */
function claimKey(key: string): string {
  return `${key}/claim`;
}

function cacheable(text: string, maxAgeS: number): Response {
  return new Response(text, { headers: { 'cache-control': `max-age=${maxAgeS}` } });
}

function ageOf(atMs: number): number {
  return Math.abs(Date.now() - atMs);
}
