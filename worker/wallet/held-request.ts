/** A request as its Wallet stores it, and the public part of it. */
import type { Caps } from '../domain/limits.ts';
import type { RequestRecord, TokenCap } from '../domain/wallet.ts';

/** A request with the fields that only the Wallet needs. */
export interface HeldRequest extends RequestRecord {
  /** The caps that were in force at admission. */
  readonly caps: Caps;
  /** Tokens counted against tokens/min while the request runs: an estimate at first, later the known count. */
  readonly tokens: number;
  /** After this time without renewal the hold is orphaned. Stored in the column `lease_until_ms`. */
  readonly holdExpiresAtMs: number;
  /** Background work counts against caps only, not against the limits per minute. */
  readonly background: boolean;
  /** null: the request came with an API key */
  readonly token: TokenCap | null;
  /** Hash of what its conversation keeps as it grows; null: unknown. */
  readonly conversation: number | null;
}

/** The request without the Wallet's own fields. */
export function publicRecord(request: HeldRequest): RequestRecord {
  const {
    caps: _caps,
    tokens: _tokens,
    holdExpiresAtMs: _holdExpiresAtMs,
    background: _background,
    token: _token,
    conversation: _conversation,
    ...record
  } = request;
  return record;
}
