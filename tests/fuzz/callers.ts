/** The accounts that send the cases: with credit, with hardly any and without, each with a key of every kind. */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { databaseIn } from '../../gpu-pool/local/edge.ts';
import { operatorApi, type Stack } from '../../gpu-pool/local/stack.ts';
import { hashApiKey, newApiKey } from '../../worker/domain/api-key.ts';
import { newId } from '../../worker/domain/ids.ts';

/** Writes are limited per key and account, so that so many accounts make most writes without meeting a limit. */
const ACCOUNTS = 60;
/** Ids of each kind that an account has at first. */
const IDS = 1;
/** Accounts that are equipped at the same time. */
const AT_ONCE = 6;
/** No case is refused for the requests or the concurrency of its key. */
const UNLIMITED = 1_000_000_000;

export const PEPPER = randomBytes(32).toString('hex');

interface Caller {
  readonly accountId: string;
  readonly inference: string;
  readonly management: string;
  token?: string;
  /** By the part of the path that names their kind. */
  readonly ids: Record<'keys' | 'files' | 'batches' | 'generations', string[]>;
}

/** Adds accounts and their keys to a migrated database, which no edge may have open. */
export async function seedCallers(stateDir: string): Promise<Caller[]> {
  const folder = join(databaseIn(stateDir), 'v3/d1/miniflare-D1DatabaseObject');
  const name = readdirSync(folder).find((file) => /^[0-9a-f]{64}\.sqlite$/.test(file))!;
  const db = new DatabaseSync(join(folder, name));
  try {
    db.exec('PRAGMA foreign_keys = ON; BEGIN');
    // The nodes serve one model, so the name of the other one in the document's examples is given to it.
    db.exec(`UPDATE model SET aliases = '[]' WHERE id = 'deepseek-v3-0324'`);
    db.exec(
      `UPDATE model SET aliases = '["deepseek-reasoner","deepseek-chat"]' WHERE id = 'deepseek-r1-0528'`,
    );
    const callers = await Promise.all(Array.from({ length: ACCOUNTS }, () => seedCaller(db)));
    db.exec('COMMIT');
    return callers;
  } finally {
    db.close();
  }
}

async function seedCaller(db: DatabaseSync): Promise<Caller> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = new TextEncoder().encode(PEPPER);
  const pepper = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign']);
  const nowMs = Date.now();
  const accountId = newId('acct', nowMs);
  db.prepare(
    'INSERT INTO account (id, name, created_at_ms, requests_per_minute, concurrency) VALUES (?, ?, ?, ?, ?)',
  ).run(accountId, 'fuzz', nowMs, UNLIMITED, UNLIMITED);
  const addKey = async (scope: string) => {
    const id = newId('key', nowMs);
    const key = newApiKey();
    db.prepare(
      `INSERT INTO api_key (id, account_id, name, hash, last_four, scope, requests_per_minute, concurrency, created_at_ms)
      VALUES (?, ?, 'fuzz', ?, ?, ?, ?, ?, ?)`,
    ).run(id, accountId, await hashApiKey(key, pepper), key.slice(-4), scope, UNLIMITED, UNLIMITED, nowMs);
    return { id, key };
  };
  const [inference, management, ...spare] = [
    await addKey('inference'),
    await addKey('management'),
    ...(await Promise.all(Array.from({ length: IDS }, () => addKey('inference')))),
  ];
  return {
    accountId,
    inference: inference!.key,
    management: management!.key,
    ids: { keys: spare.map(({ id }) => id), files: [], batches: [], generations: [] },
  };
}

/** Gives the callers credit, tokens, files, batches and requests. One in ten has no credit, one in ten next to none. */
export async function equip({ edge }: Stack, callers: readonly Caller[]): Promise<void> {
  const waiting = [...callers.entries()];
  const equipNext = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [i, caller] = next;
      const grant = { grant_id: 'fuzz', amount_usd: i % 10 === 8 ? '0.0001' : '1000' };
      if (i % 10 !== 9) await operatorApi(edge, 'POST', `/accounts/${caller.accountId}/grants`, grant);
      await equipCaller(edge.url, caller);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, equipNext));
}

async function equipCaller(origin: string, caller: Caller): Promise<void> {
  const ask = async (path: string, body: FormData | object) => {
    const isForm = body instanceof FormData;
    const headers = {
      authorization: `Bearer ${caller.inference}`,
      ...(isForm ? {} : { 'content-type': 'application/json' }),
    };
    const init = { method: 'POST', headers, body: isForm ? body : JSON.stringify(body) };
    const response = await fetch(origin + path, init);
    return (await response.json()) as { id: string; token: string };
  };
  const question = { model: 'deepseek-reasoner', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 8 };
  const line = { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: question };
  caller.token = (await ask('/v1/tokens', { cap: '100', expires_in: 3_600 })).token;
  for (let i = 0; i < IDS; i++) {
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', new Blob([`${JSON.stringify(line)}\n`]), 'lines.jsonl');
    const file = await ask('/v1/files', form);
    const endpoint = '/v1/chat/completions';
    const batch = await ask('/v1/batches', { input_file_id: file.id, endpoint, completion_window: '24h' });
    const answer = await ask('/v1/chat/completions', question);
    caller.ids.files.push(file.id);
    caller.ids.batches.push(batch.id);
    if (answer.id !== undefined) caller.ids.generations.push(answer.id);
  }
}
