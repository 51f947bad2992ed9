import { env } from '../gateway/client.ts';

/** Adds a person who owns the account. @returns the person's id */
export async function addOwner(accountId: string): Promise<string> {
  const id = crypto.randomUUID();
  await env.DB.batch([
    env.DB.prepare(
      'insert into person (id, name, email, created_at, updated_at) values (?, ?, ?, 0, 0)',
    ).bind(id, 'Ada', `${id}@example.com`),
    env.DB.prepare("insert into member values (?, ?, 'owner')").bind(accountId, id),
  ]);
  return id;
}
