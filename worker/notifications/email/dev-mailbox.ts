/** The mailer of a development installation: it keeps e-mails in R2, and the page /mailbox shows them. */
import { newId } from '../../domain/ids.ts';
import type { Env } from '../../env.ts';
import type { Email, Mailer } from './email.ts';

export interface KeptEmail extends Email {
  /** `ltr_…`, sorts by time */
  readonly id: string;
  readonly atMs: number;
}

const PREFIX = 'mailbox/';
/** The most objects that R2 lists in one call. */
const LISTED_MAX = 1_000;

export function mailbox(env: Env): Mailer {
  return {
    async send(email) {
      const atMs = Date.now();
      const kept: KeptEmail = { ...email, id: newId('ltr', atMs), atMs };
      await env.FILES.put(PREFIX + kept.id, JSON.stringify(kept));
      return { ok: true, status: null };
    },
  };
}

/** The newest e-mails, newest first. */
export async function keptEmails(env: Env, limit: number): Promise<KeptEmail[]> {
  const { objects } = await env.FILES.list({ prefix: PREFIX, limit: LISTED_MAX });
  const newest = objects.slice(-limit).reverse();
  const emails = await Promise.all(newest.map(({ key }) => keptEmail(env, key.slice(PREFIX.length))));
  return emails.filter((email) => email !== null);
}

export async function keptEmail(env: Env, id: string): Promise<KeptEmail | null> {
  const object = await env.FILES.get(PREFIX + id);
  return object === null ? null : object.json<KeptEmail>();
}
