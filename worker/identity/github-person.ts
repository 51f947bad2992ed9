/** Asks GitHub who has just let us in. */
import type { GithubProfile } from 'better-auth/social-providers';
import * as z from 'zod';
import { confirmedEmail, nameOf } from '../domain/github.ts';

/** Somebody waits in front of an empty page. */
const CALL_TIMEOUT_MS = 10_000;

const Profile = z.object({ id: z.number().int(), login: z.string().min(1), name: z.string().nullish() });
const Emails = z.array(z.object({ email: z.email(), primary: z.boolean(), verified: z.boolean() }));

/** @returns as better-auth wants it: `email` null where GitHub has confirmed none; null: GitHub did not say */
export async function githubPerson({ accessToken = '' }: { accessToken?: string | undefined }) {
  const [said, emails] = await Promise.all([
    ask('/user', Profile, accessToken),
    ask('/user/emails?per_page=100', Emails, accessToken),
  ]);
  if (said === null || emails === null) return null;
  const profile = { ...said, name: said.name ?? null };
  const user = { name: nameOf(profile), email: confirmedEmail(emails), emailVerified: true };
  // better-auth reads the id of it
  return { user, data: profile as unknown as GithubProfile };
}

async function ask<T>(path: string, schema: z.ZodType<T>, accessToken: string): Promise<T | null> {
  try {
    const answer = await fetch(`https://api.github.com${path}`, {
      headers: {
        Accept: 'application/vnd.github+json',
        Authorization: `Bearer ${accessToken}`,
        // GitHub answers nobody who does not name themselves
        'User-Agent': 'Tollgate',
      },
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    if (!answer.ok) return failed(path, `status ${answer.status}`);
    const read = schema.safeParse(await answer.json());
    return read.success ? read.data : failed(path, 'an answer of another shape');
  } catch (error) {
    return failed(path, error instanceof Error ? error.name : 'unknown');
  }
}

function failed(path: string, fault: string): null {
  console.error(JSON.stringify({ event: 'github_failed', path, fault }));
  return null;
}
