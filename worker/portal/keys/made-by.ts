/** The makers of keys, in words: a person or a management key, and the person who took the key over from them. */
import { emailsOf } from '../../db/account-limits.ts';
import { database } from '../../db/client.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import { listMembers } from '../../db/team.ts';
import { type PortalContext, words } from '../frame/context.ts';

export interface MadeBy {
  text(made: Pick<ApiKeyRow, 'createdBy' | 'keptBy'>): string;
  keyName(keyId: string): string;
}

/** @param keys all keys of the account, to name those that made others */
export async function readMakers(
  c: PortalContext,
  made: readonly Pick<ApiKeyRow, 'createdBy' | 'keptBy'>[],
  keys: readonly Pick<ApiKeyRow, 'id' | 'name'>[],
): Promise<MadeBy> {
  const { t } = words(c);
  const db = database(c.env);
  const ids = made.flatMap(({ createdBy, keptBy }) => [createdBy, keptBy]).filter((id) => id !== null);
  const [emails, members] = await Promise.all([
    emailsOf(db, [...new Set(ids)]),
    listMembers(db, c.get('accountId')),
  ]);
  const memberIds = new Set(members.map(({ personId }) => personId));
  const keyNames = new Map(keys.map(({ id, name }) => [id, name]));
  const nameOf = (id: string): string => {
    const email = emails.get(id);
    if (email === undefined) return keyNames.get(id) ?? t.team.someone;
    return memberIds.has(id) ? email : t.keys.formerMember(email);
  };
  return {
    text: ({ createdBy, keptBy }) => {
      const maker = createdBy === null ? t.keys.unknownMaker : nameOf(createdBy);
      return keptBy === null ? maker : t.keys.keptBy(maker, nameOf(keptBy));
    },
    keyName: (keyId) => keyNames.get(keyId) ?? keyId,
  };
}
