/** What each role of a team may see and change. */
/** Roles that a member of an account can have, as the database stores them. */
export const MEMBER_ROLES = ['owner', 'billing', 'developer', 'viewer'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

const EVERYBODY = ['owner', 'billing', 'developer', 'viewer'] as const;

/** Areas of the portal. Whoever may write may read. */
const RIGHTS = {
  keys: { read: EVERYBODY, write: ['owner', 'developer'] },
  usage: { read: EVERYBODY, write: [] },
  batches: { read: EVERYBODY, write: ['owner', 'developer'] },
  /** what models answered in a batch */
  batch_results: { read: ['owner', 'developer'], write: [] },
  /** spends the account's money */
  playground: { read: ['owner', 'developer'], write: ['owner', 'developer'] },
  billing: { read: ['owner', 'billing', 'viewer'], write: ['owner', 'billing'] },
  alerts: { read: EVERYBODY, write: ['owner', 'billing', 'developer'] },
  team: { read: EVERYBODY, write: ['owner'] },
  /** its name, its data as a whole, its end */
  account: { read: ['owner'], write: ['owner'] },
} as const satisfies Record<string, Record<'read' | 'write', readonly MemberRole[]>>;

export type Area = keyof typeof RIGHTS;
export type Act = 'read' | 'write';

export function mayRole(role: MemberRole, act: Act, area: Area): boolean {
  return (RIGHTS[area][act] as readonly MemberRole[]).includes(role);
}

/** An account without an owner could be changed by nobody. @param roles of all its members */
export function isLastOwner(role: MemberRole, roles: readonly MemberRole[]): boolean {
  return role === 'owner' && roles.filter((each) => each === 'owner').length === 1;
}
