/** The Hono context of every page of the portal. */
import type { Context } from 'hono';
import type { Membership } from '../../db/team.ts';
import type { MemberRole } from '../../domain/team.ts';
import type { Env } from '../../env.ts';
import { formats } from '../../i18n/formats.ts';
import { type Locale, MESSAGES } from '../../i18n/locale.ts';
import type { Words } from '../../i18n/words.ts';
import type { Person } from '../../identity/account.ts';
import type { PendingTrial } from '../../identity/trial.ts';

export interface PortalEnv {
  Bindings: Env;
  Variables: {
    locale: Locale;
    /** the signed-in person; null: nobody is signed in */
    person: Person | null;
    /** id of the person's session; empty: nobody is signed in */
    sessionId: string;
    /** the account that the page shows; set by the guard `signedIn`, as are the four below */
    accountId: string;
    /** the person's role in that account */
    memberRole: MemberRole;
    /** whether an operator has suspended that account; set with the others */
    suspended: boolean;
    /** all accounts that the person belongs to */
    memberships: readonly Membership[];
    /** trial credit that the account may still get; null: none */
    pendingTrial: PendingTrial | null;
  };
}

export type PortalContext = Context<PortalEnv>;

/** The texts and the formats of the page's language. */
export function words(c: PortalContext): Words {
  const locale = c.get('locale');
  return { locale, t: MESSAGES[locale], f: formats(locale) };
}
