/**
 * Observes a Wallet's SQLite database from inside, for facts that its final state no longer shows: L2 at every commit, the
 * size of a hold when it ended (L4), a request that ended twice (L3), an entry that was changed, or removed although no
 * opening stands for it (L10).
 */
import { overshoot } from './l02-funded.ts';
import { unreleased } from './l04-holds.ts';
import type { CreditRow, RequestRow, Violation } from './world.ts';

/**
 * Run it once on a Wallet's database that has its tables. The index makes sums of holds fast. Triggers record into
 * temporary tables; `hold_end` is a world's `ends`.
 */
export const OBSERVER_SQL = `
CREATE INDEX IF NOT EXISTS main.request_held_for_observer ON request (state) WHERE state = 'held';
CREATE TEMP TABLE IF NOT EXISTS hold_end (
  request_id TEXT, from_state TEXT, to_state TEXT,
  held_before_nano_usd INTEGER, held_after_nano_usd INTEGER, charge_nano_usd INTEGER);
CREATE TEMP TABLE IF NOT EXISTS entry_change (seq INTEGER, what TEXT);
CREATE TEMP TRIGGER IF NOT EXISTS hold_ends AFTER UPDATE OF state ON main.request BEGIN
  INSERT INTO hold_end VALUES (
    OLD.request_id, OLD.state, NEW.state, OLD.held_nano_usd, NEW.held_nano_usd, NEW.charge_nano_usd);
END;
CREATE TEMP TRIGGER IF NOT EXISTS entry_updated AFTER UPDATE ON main.entry BEGIN
  INSERT INTO entry_change VALUES (OLD.seq, 'changed');
END;
CREATE TEMP TRIGGER IF NOT EXISTS entry_deleted AFTER DELETE ON main.entry
WHEN OLD.seq > coalesce((SELECT CAST(reference AS INTEGER) FROM main.entry WHERE seq =
  (SELECT opening_seq FROM main.credit)), 0) BEGIN
  INSERT INTO entry_change VALUES (OLD.seq, 'deleted');
END;
`;

/** Checks what must hold after each commit: L2, and that nothing is held for a request that has ended. */
export function observeCommit(commit: {
  accountId: string;
  credit: CreditRow;
  held: readonly Pick<RequestRow, 'state' | 'held_nano_usd'>[];
}): Violation[] {
  const { accountId, credit } = commit;
  const request = commit.held as readonly RequestRow[];
  return [...overshoot({ accountId, credit, request }), ...unreleased({ accountId, credit, request })];
}

/** @param changes the rows of `entry_change` */
export function observeEntryChanges(
  accountId: string,
  changes: readonly { seq: number; what: string }[],
): Violation[] {
  return changes.map(({ seq, what }) => ({
    law: 'L10',
    about: `${accountId} entry ${seq}`,
    what: `was ${what}`,
  }));
}
