/** What every page of the portal finds in its Hono context. */
import type { Context } from 'hono';
import type { Membership } from '../db/team.ts';
import type { MemberRole } from '../domain/team.ts';
import type { Env } from '../env.ts';
import type { Person } from '../people/account.ts';
import type { Messages } from './language/en.ts';
import { type Formats, formats } from './language/formats.ts';
import { type Locale, MESSAGES } from './language/locale.ts';

export interface PortalEnv {
  Bindings: Env;
  Variables: {
    locale: Locale;
    /** null: nobody is signed in */
    person: Person | null;
    /** of the person's session; empty: nobody is signed in */
    sessionId: string;
    /** set by the guard of pages that need a person */
    accountId: string;
    /** what the person is in that account */
    memberRole: MemberRole;
    /** all accounts that the person belongs to */
    memberships: readonly Membership[];
  };
}

export type PortalContext = Context<PortalEnv>;

export interface Words {
  readonly locale: Locale;
  /** the phrases */
  readonly t: Messages;
  /** numbers, money and time */
  readonly f: Formats;
}

export function words(c: PortalContext): Words {
  const locale = c.get('locale');
  return { locale, t: MESSAGES[locale], f: formats(locale) };
}
