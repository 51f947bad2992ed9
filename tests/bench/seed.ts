/** Seeds D1 for Tollgate: nodes that are enrolled and active, accounts with a key each, and past requests. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hashApiKey, newApiKey } from '../../worker/domain/api-key.ts';
import { newId } from '../../worker/domain/ids.ts';
import { ENGINE, type NodeIdentity } from './node-agents.ts';
import { MODEL } from './workloads.ts';

export interface World {
  readonly nodes: number;
  /** The number of keys; each has its own account. */
  readonly keys: number;
  readonly usageEvents: number;
}

export interface Seeded {
  readonly nodes: NodeIdentity[];
  /** The secret keys, at most KEYS_USED_MAX. */
  readonly keys: string[];
  /** The accounts of `keys`. */
  readonly accountIds: string[];
}

/** The most keys that send requests: the cost of an unused key shows without more Wallets in use. */
const KEYS_USED_MAX = 1_000;
/** The limits of requests and tokens per minute and of concurrency, so high that no request is refused. */
const UNLIMITED = 1_000_000_000;

/** Fills a migrated database, which no workerd may have open. @param persistTo as in workerd-process.ts */
export async function seed(
  persistTo: string,
  world: World,
  { nodePort, pepper }: { nodePort: number; pepper: string },
): Promise<Seeded> {
  const db = new DatabaseSync(databaseFile(persistTo));
  try {
    db.exec('PRAGMA foreign_keys = ON; BEGIN');
    const nodes = seedNodes(db, world.nodes, `http://127.0.0.1:${nodePort}`);
    const { keys, accountIds } = await seedKeys(db, world.keys, pepper);
    if (world.usageEvents > 0) db.prepare(USAGE_EVENTS).run(world.usageEvents, Date.now() - 90 * DAY_MS);
    db.exec('COMMIT');
    return { nodes, keys, accountIds };
  } finally {
    db.close();
  }
}

function databaseFile(persistTo: string): string {
  const folder = join(persistTo, 'd1', 'miniflare-D1DatabaseObject');
  const [file, ...more] = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (file === undefined || more.length > 0) throw new Error(`${folder} has not one database`);
  return join(folder, file);
}

function seedNodes(db: DatabaseSync, count: number, url: string): NodeIdentity[] {
  const insert = db.prepare(
    `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, state, enrolled_at_ms)
    VALUES (?, ?, ?, '8xmi300x', ?, ?, 1000, ?, ?, 'active', ?)`,
  );
  return Array.from({ length: count }, (_, i) => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const id = newId('node', Date.now());
    const { x } = publicKey.export({ format: 'jwk' });
    insert.run(id, `bench-${i}`, MODEL, url, x!, ENGINE.version, ENGINE.weightVersion, Date.now());
    return { id, privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string };
  });
}

async function seedKeys(db: DatabaseSync, count: number, secret: string) {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = new TextEncoder().encode(secret);
  const pepper = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign']);
  const insertAccount = db.prepare(
    `INSERT INTO account (id, name, created_at_ms, requests_per_minute, concurrency)
    VALUES (?, 'bench', ?, ${UNLIMITED}, ${UNLIMITED})`,
  );
  const insertKey = db.prepare(
    `INSERT INTO api_key (id, account_id, name, hash, last_four, requests_per_minute, concurrency, created_at_ms)
    VALUES (?, ?, 'bench', ?, ?, ${UNLIMITED}, ${UNLIMITED}, ?)`,
  );
  const keys: string[] = [];
  const accountIds: string[] = [];
  for (let i = 0; i < count; i++) {
    const nowMs = Date.now();
    const accountId = newId('acct', nowMs);
    const key = i < KEYS_USED_MAX ? newApiKey() : null;
    const hash = key === null ? newId('key', nowMs) : await hashApiKey(key, pepper);
    insertAccount.run(accountId, nowMs);
    insertKey.run(newId('key', nowMs), accountId, hash, key?.slice(-4) ?? 'none', nowMs);
    if (key === null) continue;
    keys.push(key);
    accountIds.push(accountId);
  }
  return { keys, accountIds };
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Inserts ?1 requests of two hundred accounts, from ?2 on, one per millisecond. Ids ascend in time, as real ones do. */
const USAGE_EVENTS = `
  INSERT INTO usage_event (request_id, account_id, key_id, model_id, node_id, admitted_at_ms, ended_at_ms, state, ending,
    stream, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, price_id, charge_nano_usd, entry_seq, ttft_ms)
  WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?1)
  SELECT printf('req_00%024d', i), printf('acct_%026d', i % 200), printf('key_%026d', i % 200), '${MODEL}',
    printf('node_%026d', i % 12), ?2 + i, ?2 + i, 'posted', 'finished', 0, 20, 0, 4, 0, '${MODEL}/standard/1', 20000, i, 100
  FROM numbers`;
