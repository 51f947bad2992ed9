/** Reads the GitHub profile and e-mail addresses of the person who has just signed in. */
import type { GithubProfile } from 'better-auth/social-providers';
import * as z from 'zod';
import { confirmedEmail, nameOf } from '../domain/github.ts';

/** A person waits in front of an empty page, so a slow GitHub is given up after 10 s. */
const CALL_TIMEOUT_MS = 10_000;

const Profile = z.object({ id: z.number().int(), login: z.string().min(1), name: z.string().nullish() });
const Emails = z.array(z.object({ email: z.email(), primary: z.boolean(), verified: z.boolean() }));

/**
 * better-auth's `getUserInfo`: the person that an access token belongs to.
 * @returns `user.email` is null where GitHub has confirmed none; null: GitHub gave no usable answer
 */
export async function githubPerson({ accessToken = '' }: { accessToken?: string | undefined }) {
  const [answer, emails] = await Promise.all([
    read('/user', Profile, accessToken),
    read('/user/emails?per_page=100', Emails, accessToken),
  ]);
  if (answer === null || emails === null) return null;
  const profile = { ...answer, name: answer.name ?? null };
  const user = { name: nameOf(profile), email: confirmedEmail(emails), emailVerified: true };
  // better-auth reads only the id from `data`
  return { user, data: profile as unknown as GithubProfile };
}

async function read<T>(path: string, schema: z.ZodType<T>, accessToken: string): Promise<T | null> {
  try {
    const response = await fetch(`https://api.github.com${path}`, {
      headers: {
        Accept: 'application/vnd.github+json',
        Authorization: `Bearer ${accessToken}`,
        // GitHub refuses requests without a User-Agent
        'User-Agent': 'Tollgate',
      },
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    if (!response.ok) return failed(path, `status ${response.status}`);
    const parsed = schema.safeParse(await response.json());
    return parsed.success ? parsed.data : failed(path, 'an answer of another shape');
  } catch (error) {
    return failed(path, error instanceof Error ? error.name : 'unknown');
  }
}

function failed(path: string, fault: string): null {
  console.error(JSON.stringify({ event: 'github_failed', path, fault }));
  return null;
}
