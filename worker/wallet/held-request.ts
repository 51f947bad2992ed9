/** A request as its Wallet keeps it, and the part of it that others may know. */
import type { LimitScope, Limits } from '../domain/limits.ts';
import type { RequestRecord, TokenCap } from '../domain/wallet.ts';

/** A request with what only the Wallet needs to know of it. */
export interface HeldRequest extends RequestRecord {
  /** those in force at admission */
  readonly caps: Readonly<Record<LimitScope, Cap>>;
  /** counted against tokens/min while it runs: an estimate, then what is known */
  readonly tokens: number;
  readonly leaseUntilMs: number;
  /** counts against caps alone */
  readonly background: boolean;
  /** null: asked with a key */
  readonly token: TokenCap | null;
}

export type Cap = Pick<Limits, 'capNanoUsd' | 'capPeriod'>;

/** What others may know of a request. */
export function publicRecord(request: HeldRequest): RequestRecord {
  const {
    caps: _caps,
    tokens: _tokens,
    leaseUntilMs: _lease,
    background: _background,
    token: _token,
    ...record
  } = request;
  return record;
}
