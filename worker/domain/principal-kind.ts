/** Kinds of those who ask: a key that asks for answers, one that manages keys, a token that the first made for a while. */

export const KEY_SCOPES = ['inference', 'management'] as const;
export type PrincipalKind = (typeof KEY_SCOPES)[number] | 'token';
