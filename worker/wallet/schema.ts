/**
 * The tables of a Wallet, in SQLite inside its Durable Object.
 *
 * account      one row: the id of the account that this Wallet belongs to
 * checkpoint   one row: sums of what is granted, paid and owed and the head of the hash chain, after entry number `seq`;
 *              how far the outbox was numbered and published; and the least id of a request that was open
 * credit       a view: the checkpoint and what was stored after it
 * entry        the ledger, append-only; the oldest entries are folded into an opening (fold.ts)
 * folded       grants, top-ups and corrections that were folded: their references stay, so that none is credited twice
 * request      every request that was admitted with a hold of its own, until a day after its end. Once it has ended it is
 *              its own item of the outbox, with the number `outbox_seq`; `receipt` is 0 until the billed node's receipt
 *              has come and agrees (request-store.ts), then `receipt_at_ms` says when, and `receipt_seq` is its own number
 *              in the outbox, if it has one; `early_receipt` is the first that came while it was held
 * receipt      receipts of nodes for those requests: further ones that came while it was held, and those that do not
 *              agree; `settled` is 1 once the receipt's write-off is known
 * key_spend    posted charges by key and UTC day; what counts against a cap is a sum over it. Days of past months are one
 *              total, as day 0. The view `spend` adds what requests since the checkpoint cost
 * shared_spend posted charges that count against a key's cap although other keys made them: its successors by rotation,
 *              and for a management key the keys that it made. They are in key_spend under those keys, too. The view
 *              `spend_shared` adds those since the checkpoint
 * outbox       items that D1 or the queue has not received yet, besides ended requests
 * proof        one row: the time up to which every charge has been checked for its receipt
 * token_spend  what short-lived tokens have spent and hold: a part of the spend of their keys
 * home         the node that gave a conversation its last answer, as earlier versions stored it; a request names its
 *              conversation instead
 * lease        what isolates may admit by themselves; a row is kept for a day after the lease ends
 * page         one row a settlement group: requests of a lease that were settled together, as JSON with the columns of
 *              `request`. `proofs` has one character a request: 0 while its node has sent no receipt, p once it has, f
 *              once a receipt says that the whole answer was given
 * version      one row: how many of the migrations below this Wallet has run
 */
import { GENESIS_HASH } from '../domain/ledger.ts';

/**
 * Each migration runs once in a Wallet's life, in order. Wallets of customers have run these, so change none: append
 * another.
 */
export const WALLET_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE IF NOT EXISTS account (id TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS credit (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  granted_nano_usd INTEGER NOT NULL CHECK (granted_nano_usd >= 0),
  paid_nano_usd INTEGER NOT NULL CHECK (paid_nano_usd >= 0),
  held_nano_usd INTEGER NOT NULL CHECK (held_nano_usd >= 0),
  head_seq INTEGER NOT NULL,
  head_hash TEXT NOT NULL,
  CHECK (held_nano_usd <= granted_nano_usd + paid_nano_usd)
) STRICT;
CREATE TABLE IF NOT EXISTS entry (
  seq INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reference TEXT NOT NULL,
  granted_nano_usd INTEGER NOT NULL,
  paid_nano_usd INTEGER NOT NULL,
  balance_nano_usd INTEGER NOT NULL CHECK (balance_nano_usd >= 0),
  hash TEXT NOT NULL,
  UNIQUE (kind, reference)
) STRICT;
CREATE TABLE IF NOT EXISTS request (
  request_id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL,
  model_id TEXT NOT NULL,
  stream INTEGER NOT NULL,
  cap_nano_usd INTEGER,
  cap_period TEXT NOT NULL,
  state TEXT NOT NULL,
  ending TEXT,
  node_id TEXT,
  admitted_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  lease_until_ms INTEGER NOT NULL,
  held_nano_usd INTEGER NOT NULL,
  price_id TEXT NOT NULL,
  cache_hit_nano_usd INTEGER NOT NULL,
  cache_miss_nano_usd INTEGER NOT NULL,
  output_nano_usd INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  completion_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  charge_nano_usd INTEGER NOT NULL DEFAULT 0,
  entry_seq INTEGER,
  ttft_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS request_held ON request (lease_until_ms) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS request_by_key ON request (key_id, admitted_at_ms);
CREATE INDEX IF NOT EXISTS request_held_by_key ON request (key_id) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS request_ended ON request (ended_at_ms) WHERE state <> 'held';
CREATE TABLE IF NOT EXISTS receipt (
  request_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  received_at_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  ttft_ms INTEGER,
  settled INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (request_id, node_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipt_by_time ON receipt (received_at_ms);
CREATE TABLE IF NOT EXISTS key_spend (
  key_id TEXT NOT NULL,
  day INTEGER NOT NULL,
  spent_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (key_id, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL) STRICT;
INSERT OR IGNORE INTO credit VALUES (1, 0, 0, 0, 0, '${GENESIS_HASH}');
`,
  `
ALTER TABLE credit ADD COLUMN owed_nano_usd INTEGER NOT NULL DEFAULT 0 CHECK (owed_nano_usd >= 0);
ALTER TABLE request ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN account_cap_nano_usd INTEGER;
ALTER TABLE request ADD COLUMN account_cap_period TEXT NOT NULL DEFAULT 'total';
CREATE INDEX key_spend_by_day ON key_spend (day);
CREATE TABLE proof (checked_to_ms INTEGER NOT NULL) STRICT;
INSERT INTO proof VALUES (0);
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
`,
  `
CREATE TABLE home (
  conversation INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;
`,
  `
ALTER TABLE request ADD COLUMN background INTEGER NOT NULL DEFAULT 0;
`,
  `
ALTER TABLE request ADD COLUMN token_id TEXT;
ALTER TABLE request ADD COLUMN token_cap_nano_usd INTEGER;
CREATE TABLE token_spend (
  token_id TEXT PRIMARY KEY,
  spent_nano_usd INTEGER NOT NULL,
  held_nano_usd INTEGER NOT NULL CHECK (held_nano_usd >= 0),
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`,
  `
CREATE TABLE lease (
  lease_id TEXT PRIMARY KEY,
  terms TEXT NOT NULL,
  seq INTEGER NOT NULL,
  admitted INTEGER NOT NULL,
  told INTEGER NOT NULL,
  doubtful INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  held_nano_usd INTEGER NOT NULL CHECK (held_nano_usd >= 0),
  tokens INTEGER NOT NULL,
  slack_requests INTEGER NOT NULL,
  slack_nano_usd INTEGER NOT NULL,
  slack_tokens INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  ended_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_open ON lease (until_ms) WHERE ended_at_ms IS NULL;
CREATE TABLE page (
  at_ms INTEGER PRIMARY KEY,
  first_request_id TEXT NOT NULL,
  last_request_id TEXT NOT NULL,
  lease_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  model_id TEXT NOT NULL,
  price_id TEXT NOT NULL,
  cache_hit_nano_usd INTEGER NOT NULL,
  cache_miss_nano_usd INTEGER NOT NULL,
  output_nano_usd INTEGER NOT NULL,
  entry_seq INTEGER,
  requests TEXT NOT NULL,
  proofs TEXT NOT NULL
) STRICT;
ALTER TABLE receipt ADD COLUMN ticket TEXT;
DROP INDEX request_by_key;
DROP INDEX request_held_by_key;
DROP INDEX receipt_by_time;
`,
  // Each window of a stream moves the expiry of its hold, which rewrote a row of the old index. An alarm scans the
  // held rows.
  `
DROP INDEX request_held;
CREATE INDEX request_held ON request (state) WHERE state = 'held';
`,
  // An entry may be removed only after a later entry, the opening that `credit` points to, has sealed what it led to.
  `
ALTER TABLE credit ADD COLUMN opening_seq INTEGER;
CREATE TABLE folded (
  kind TEXT NOT NULL,
  reference TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  granted_nano_usd INTEGER NOT NULL,
  paid_nano_usd INTEGER NOT NULL,
  balance_nano_usd INTEGER NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (kind, reference)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER folded_is_never_changed BEFORE UPDATE ON folded
BEGIN SELECT RAISE(ABORT, 'a folded entry is never changed'); END;
CREATE TRIGGER folded_is_never_removed BEFORE DELETE ON folded
BEGIN SELECT RAISE(ABORT, 'a folded entry is never removed'); END;
DROP TRIGGER entry_is_never_removed;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry
WHEN OLD.seq > coalesce((SELECT CAST(reference AS INTEGER) FROM entry WHERE kind = 'opening'
  AND seq = (SELECT opening_seq FROM credit)), 0)
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
`,
  `
CREATE TABLE shared_spend (
  key_id TEXT NOT NULL,
  day INTEGER NOT NULL,
  spent_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (key_id, day)
) STRICT, WITHOUT ROWID;
ALTER TABLE request ADD COLUMN lineage_id TEXT;
ALTER TABLE request ADD COLUMN manager_id TEXT;
ALTER TABLE request ADD COLUMN manager_cap_nano_usd INTEGER;
ALTER TABLE request ADD COLUMN manager_cap_period TEXT;
`,
  // A request writes each row that it has to and no more: no index but keys, no AUTOINCREMENT, and sums only at checkpoints.
  // `credit` is a view now: what the sums are, and an error for a version that would change them.
  `
CREATE TABLE entry_kept (
  seq INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reference TEXT NOT NULL,
  granted_nano_usd INTEGER NOT NULL,
  paid_nano_usd INTEGER NOT NULL,
  balance_nano_usd INTEGER NOT NULL CHECK (balance_nano_usd >= 0),
  hash TEXT NOT NULL
) STRICT;
INSERT INTO entry_kept SELECT seq, at_ms, kind, reference, granted_nano_usd, paid_nano_usd, balance_nano_usd, hash FROM entry;
DROP TABLE entry;
ALTER TABLE entry_kept RENAME TO entry;
CREATE UNIQUE INDEX entry_by_reference ON entry (kind, reference) WHERE kind <> 'charge';
CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  granted_nano_usd INTEGER NOT NULL,
  paid_nano_usd INTEGER NOT NULL,
  owed_nano_usd INTEGER NOT NULL CHECK (owed_nano_usd >= 0),
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL,
  opening_seq INTEGER,
  outbox_seq INTEGER NOT NULL,
  published_seq INTEGER NOT NULL,
  open_from TEXT NOT NULL
) STRICT;
INSERT INTO checkpoint SELECT 1, granted_nano_usd, paid_nano_usd, owed_nano_usd, head_seq, head_hash, opening_seq,
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0), '' FROM credit;
DROP TABLE credit;
CREATE TABLE outbox_kept (seq INTEGER PRIMARY KEY, item TEXT NOT NULL) STRICT;
INSERT INTO outbox_kept SELECT seq, item FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_kept RENAME TO outbox;
DROP INDEX request_held;
DROP INDEX request_ended;
ALTER TABLE request ADD COLUMN granted_nano_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN outbox_seq INTEGER;
ALTER TABLE request ADD COLUMN receipt TEXT NOT NULL DEFAULT '0';
ALTER TABLE request ADD COLUMN conversation INTEGER;
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry
WHEN OLD.seq > coalesce((SELECT CAST(reference AS INTEGER) FROM entry WHERE kind = 'opening'
  AND seq = (SELECT opening_seq FROM checkpoint)), 0)
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
CREATE VIEW credit AS SELECT id,
  granted_nano_usd + coalesce((SELECT sum(e.granted_nano_usd) FROM entry AS e WHERE e.seq > c.seq), 0) AS granted_nano_usd,
  paid_nano_usd + coalesce((SELECT sum(e.paid_nano_usd) FROM entry AS e WHERE e.seq > c.seq), 0) AS paid_nano_usd,
  (SELECT coalesce(sum(held_nano_usd), 0) FROM request WHERE state = 'held')
    + (SELECT coalesce(sum(held_nano_usd), 0) FROM lease) AS held_nano_usd,
  coalesce((SELECT max(e.seq) FROM entry AS e WHERE e.seq > c.seq), c.seq) AS head_seq,
  coalesce((SELECT e.hash FROM entry AS e WHERE e.seq > c.seq ORDER BY e.seq DESC LIMIT 1), c.hash) AS head_hash,
  owed_nano_usd, opening_seq FROM checkpoint AS c;
CREATE VIEW spend_since AS
SELECT r.key_id, r.lineage_id, r.manager_id, e.at_ms / 86400000 AS day,
  0 - e.granted_nano_usd - e.paid_nano_usd AS spent_nano_usd
FROM entry AS e CROSS JOIN request AS r ON r.request_id = e.reference
WHERE e.seq > (SELECT seq FROM checkpoint) AND e.kind IN ('charge', 'correction');
CREATE VIEW shared_spend_since AS
SELECT lineage_id AS key_id, day, spent_nano_usd FROM spend_since WHERE lineage_id IS NOT NULL
UNION ALL SELECT manager_id, day, spent_nano_usd FROM spend_since WHERE manager_id IS NOT NULL;
CREATE VIEW spend AS SELECT key_id, day, spent_nano_usd FROM key_spend
UNION ALL SELECT key_id, day, spent_nano_usd FROM spend_since;
CREATE VIEW spend_shared AS SELECT key_id, day, spent_nano_usd FROM shared_spend
UNION ALL SELECT key_id, day, spent_nano_usd FROM shared_spend_since;
`,
  // A receipt that comes while its request is held: the request's row is written again at its end anyway.
  `
ALTER TABLE request ADD COLUMN early_receipt TEXT;
`,
  // Each report rewrote a row of the index. A day's leases are few, so they are scanned.
  `
DROP INDEX lease_open;
ALTER TABLE request ADD COLUMN receipt_at_ms INTEGER;
ALTER TABLE request ADD COLUMN receipt_seq INTEGER;
`,
];

/** Runs the migrations that this Wallet has not run yet. */
export function migrate(sql: SqlStorage): void {
  sql.exec('CREATE TABLE IF NOT EXISTS version (migrations INTEGER NOT NULL) STRICT');
  const done =
    (sql.exec('SELECT migrations FROM version').toArray()[0]?.migrations as number | undefined) ?? 0;
  if (done === WALLET_MIGRATIONS.length) return;
  for (const migration of WALLET_MIGRATIONS.slice(done)) sql.exec(migration);
  sql.exec('DELETE FROM version');
  sql.exec('INSERT INTO version VALUES (?)', WALLET_MIGRATIONS.length);
}
