/**
 * Kinds of principals: an inference key, a management key (which manages keys), and a short-lived token that an
 * inference key made.
 */

export const KEY_SCOPES = ['inference', 'management'] as const;
export type PrincipalKind = (typeof KEY_SCOPES)[number] | 'token';
