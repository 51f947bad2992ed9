/** Where letters go in development: kept in R2, to be read on the page /mailbox. */
import { newId } from '../../domain/ids.ts';
import type { Env } from '../../env.ts';
import type { Email, Mailer } from './email.ts';

export interface KeptEmail extends Email {
  /** `ltr_…`, which sorts by time */
  readonly id: string;
  readonly atMs: number;
}

const PREFIX = 'mailbox/';
/** R2 lists so many objects a call. */
const LISTED_MAX = 1_000;

export function mailbox(env: Env): Mailer {
  return {
    async send(letter) {
      const atMs = Date.now();
      const kept: KeptEmail = { ...letter, id: newId('ltr', atMs), atMs };
      await env.FILES.put(PREFIX + kept.id, JSON.stringify(kept));
      return { ok: true, status: null };
    },
  };
}

/** Newest first. */
export async function keptEmails(env: Env, limit: number): Promise<KeptEmail[]> {
  const { objects } = await env.FILES.list({ prefix: PREFIX, limit: LISTED_MAX });
  const newest = objects.slice(-limit).reverse();
  const letters = await Promise.all(newest.map(({ key }) => keptEmail(env, key.slice(PREFIX.length))));
  return letters.filter((letter) => letter !== null);
}

export async function keptEmail(env: Env, id: string): Promise<KeptEmail | null> {
  const object = await env.FILES.get(PREFIX + id);
  return object === null ? null : object.json<KeptEmail>();
}
