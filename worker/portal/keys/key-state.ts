/** Whether a key can be used at an instant. */
import type { ApiKeyRow } from '../../db/keys.ts';

export function keyState(
  key: Pick<ApiKeyRow, 'revokedAtMs' | 'expiresAtMs'>,
  nowMs: number,
): 'active' | 'expired' | 'revoked' {
  if (key.revokedAtMs !== null) return 'revoked';
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) return 'expired';
  return 'active';
}
