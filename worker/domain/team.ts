/** Roles of an account's members, and what each may see and change. */

/** The roles, as the database stores them. */
export const MEMBER_ROLES = ['owner', 'billing', 'developer', 'viewer'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** Areas of the portal, and the roles that may read and write each. A role that may write may also read. */
const RIGHTS = {
  keys: { read: MEMBER_ROLES, write: ['owner', 'developer'] },
  usage: { read: MEMBER_ROLES, write: [] },
  batches: { read: MEMBER_ROLES, write: ['owner', 'developer'] },
  /** The models' answers in a batch. */
  batch_results: { read: ['owner', 'developer'], write: [] },
  /** It spends the account's money. */
  playground: { read: ['owner', 'developer'], write: ['owner', 'developer'] },
  billing: { read: ['owner', 'billing', 'viewer'], write: ['owner', 'billing'] },
  alerts: { read: MEMBER_ROLES, write: ['owner', 'billing', 'developer'] },
  team: { read: MEMBER_ROLES, write: ['owner'] },
  /** The account's name, the export of its data, and its deletion. */
  account: { read: ['owner'], write: ['owner'] },
} as const satisfies Record<string, Record<'read' | 'write', readonly MemberRole[]>>;

export type Area = keyof typeof RIGHTS;
export type AccessMode = 'read' | 'write';

export function isRoleAllowed(role: MemberRole, mode: AccessMode, area: Area): boolean {
  return rolesAllowed(mode, area).includes(role);
}

export function rolesAllowed(mode: AccessMode, area: Area): readonly MemberRole[] {
  return RIGHTS[area][mode];
}

/**
 * Whether a member is the last owner, who must stay: without an owner, no one could manage the account.
 * @param roles roles of all its members
 */
export function isLastOwner(role: MemberRole, roles: readonly MemberRole[]): boolean {
  return role === 'owner' && roles.filter((each) => each === 'owner').length === 1;
}
