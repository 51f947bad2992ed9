/** What every page of the portal finds in its Hono context. */
import type { Context } from 'hono';
import type { Membership } from '../../db/team.ts';
import type { MemberRole } from '../../domain/team.ts';
import type { Env } from '../../env.ts';
import { formats } from '../../i18n/formats.ts';
import { type Locale, MESSAGES } from '../../i18n/locale.ts';
import type { Words } from '../../i18n/words.ts';
import type { Person } from '../../identity/account.ts';

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

export function words(c: PortalContext): Words {
  const locale = c.get('locale');
  return { locale, t: MESSAGES[locale], f: formats(locale) };
}
