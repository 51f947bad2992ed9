/** Parts that the pages for signing in and up share. */
import { signOut } from '../../identity/session.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';
import { setCookies } from '../frame/set-cookies.ts';

/** The e-mail address of an existing person; browsers offer stored user names for it. */
export function EmailField({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  return (
    <TextField
      c={c}
      typed={typed}
      faults={faults}
      name="email"
      label={words(c).t.signUp.email}
      type="email"
      autocomplete="username"
      required
    />
  );
}

/** Carries the path to open after signing in through the form; empty: none. */
export function NextField({ next }: { next: string }) {
  return next === '' ? null : <input type="hidden" name="next" value={next} />;
}

export function SignInLink({ c }: { c: PortalContext }) {
  return (
    <p class="mt-6 text-sm">
      <a class="link" href="/sign-in">
        {words(c).t.signIn.title}
      </a>
    </p>
  );
}

/** The path of a page of this folder that goes on to `next`; empty: it goes on to its own default. */
export function withNext(path: string, next: string): string {
  return next === '' ? path : `${path}?next=${encodeURIComponent(next)}`;
}

/** Starts a new session and ends the previous one of this browser, which holds a single session cookie. */
export async function replaceSession(c: PortalContext, cookies: readonly string[]): Promise<void> {
  if (c.get('person')) await signOut(c.env, c.req.raw.headers);
  setCookies(c, cookies);
}
