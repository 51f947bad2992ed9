/**
 * L10: entries are append-only and hash-chained; replaying them rebuilds every projection (dashboard = ledger =
 * invoice). D1 may lag behind until the world is final, but the rows that it has must be right at any time.
 */
import { createHash } from 'node:crypto';
import { GENESIS_HASH, hashInput } from '../../worker/domain/ledger.ts';
import { stateOf } from './folded-entries.ts';
import { rollupsMatch } from './l10-rollups.ts';
import { matchedReceipts } from './settlement-group-rows.ts';
import type { AccountRows, EntryRow, Law, LedgerStart, World } from './world.ts';
import { findings, groupBy, requestsOf, SHARED_COLUMNS } from './world-views.ts';

export const projections: Law = (world) => [
  ...world.accounts.flatMap(chains),
  ...world.accounts.flatMap((account) => ledgerIsProjected(world, account)),
  ...world.accounts.flatMap((account) => usageIsProjected(world, account)),
  ...world.accounts.flatMap((account) => spendAddsUp(world, account)),
  ...rollupsMatch(world),
  ...receiptsAreCounted(world),
];

/** The state of a ledger before its first entry. */
const EMPTY: LedgerStart = { seq: 0, hash: GENESIS_HASH, granted: 0, paid: 0 };

function chains({ accountId, entry, credit, start = EMPTY }: AccountRows) {
  const { found, report, equal } = findings('L10');
  if (!entry) return found;
  let { seq, hash, granted, paid } = start;
  const states = new Map([[seq, start]]);
  for (const row of [...entry].sort((a, b) => a.seq - b.seq)) {
    seq += 1;
    equal(accountId, `the number of entry ${seq}`, row.seq, seq);
    hash = createHash('sha256')
      .update(hashInput(hash, bodyOf(row)))
      .digest('hex');
    if (hash !== row.hash)
      report(
        `${accountId} entry ${row.seq}`,
        'does not have the hash of its content and of the entry before',
      );
    hash = row.hash;
    granted += row.granted_nano_usd;
    paid += row.paid_nano_usd;
    states.set(seq, { seq, hash, granted, paid });
    if (row.kind === 'opening') opensOn(row, states);
  }
  if (credit) {
    equal(accountId, 'the head of its chain', credit.head_hash, hash);
    equal(accountId, 'the number of its last entry', credit.head_seq, seq);
  }
  return found;

  /** What an opening says of the entries that it stands for is what they lead to. */
  function opensOn(row: EntryRow, states: ReadonlyMap<number, LedgerStart>) {
    const said = stateOf(row);
    const about = `${accountId} entry ${row.seq}, the opening of ${said.seq} entries`;
    const reached = states.get(said.seq);
    if (!reached && said.seq > start.seq) report(about, 'names an entry that there is not');
    if (!reached) return;
    equal(about, 'its hash', said.hash, reached.hash);
    equal(about, 'its granted credit', said.granted, reached.granted);
    equal(about, 'its paid credit', said.paid, reached.paid);
  }
}

function bodyOf(row: EntryRow): Parameters<typeof hashInput>[1] {
  return {
    seq: row.seq,
    atMs: row.at_ms,
    kind: row.kind,
    reference: row.reference,
    grantedNanoUsd: row.granted_nano_usd,
    paidNanoUsd: row.paid_nano_usd,
    balanceNanoUsd: row.balance_nano_usd,
  } as Parameters<typeof hashInput>[1];
}

const ENTRY_COLUMNS = [
  'at_ms',
  'kind',
  'reference',
  'granted_nano_usd',
  'paid_nano_usd',
  'balance_nano_usd',
  'hash',
] as const satisfies readonly (keyof EntryRow)[];

function ledgerIsProjected({ d1, final }: World, { accountId, entry, outbox }: AccountRows) {
  const { found, report, equal } = findings('L10');
  if (final && outbox) report(accountId, `has ${outbox} items that have not reached D1`);
  if (!entry || !d1?.ledger_entry) return found;
  const copies = new Map(
    d1.ledger_entry.filter((row) => row.account_id === accountId).map((row) => [row.seq, row]),
  );
  for (const row of entry) {
    const copy = copies.get(row.seq);
    copies.delete(row.seq);
    if (!copy) {
      if (final) report(`${accountId} entry ${row.seq}`, 'is missing in D1');
      continue;
    }
    for (const column of ENTRY_COLUMNS)
      equal(`${accountId} entry ${row.seq}`, `${column} in D1`, copy[column], row[column]);
  }
  for (const seq of copies.keys()) report(`${accountId} entry ${seq}`, 'is in D1 and not in the ledger');
  return found;
}

function usageIsProjected({ d1, final }: World, { accountId, request, entry }: AccountRows) {
  const { found, report, equal } = findings('L10');
  const usage = d1?.usage_event?.filter((row) => row.account_id === accountId);
  if (!usage) return found;
  for (const [id, rows] of groupBy(usage, (row) => row.request_id))
    if (rows.length > 1) report(id, `has ${rows.length} rows of usage in D1`);
  const copies = new Map(usage.map((row) => [row.request_id, row]));
  for (const row of request ?? []) {
    const copy = copies.get(row.request_id);
    if (row.state === 'held') {
      if (copy) report(row.request_id, 'is held and has usage in D1');
      continue;
    }
    if (!copy) {
      if (final) report(row.request_id, 'is missing in D1');
      continue;
    }
    for (const column of SHARED_COLUMNS) equal(row.request_id, `${column} in D1`, copy[column], row[column]);
  }
  if (!final || !entry) return found;
  const charged = entry
    .filter(({ kind }) => kind === 'charge')
    .reduce((sum, row) => sum - row.granted_nano_usd - row.paid_nano_usd, 0);
  equal(
    accountId,
    'the sum of its usage in D1',
    usage.reduce((sum, row) => sum + row.charge_nano_usd, 0),
    charged,
  );
  return found;
}

/** Caps are sums over spend: the charges, less what was credited back. */
function spendAddsUp(world: World, { accountId, key_spend, entry, request }: AccountRows) {
  const { found, equal } = findings('L10');
  if (!key_spend || !entry || !request || !world.d1?.usage_event) return found;
  const requests = requestsOf(world);
  const spent = new Map<string, number>();
  for (const row of entry) {
    // A correction that names a request credits back what was paid twice; other corrections belong to payments. Only
    // requests of one key are charged together, so the first one gives the key.
    const known =
      row.kind === 'charge' || row.kind === 'correction'
        ? requests.get(row.reference.split('..')[0]!)
        : undefined;
    if (!known) continue;
    const id = known.row.key_id;
    spent.set(id, (spent.get(id) ?? 0) - row.granted_nano_usd - row.paid_nano_usd);
  }
  const stored = new Map<string, number>();
  for (const row of key_spend)
    if (spent.has(row.key_id) || row.key_id.startsWith('key_'))
      stored.set(row.key_id, (stored.get(row.key_id) ?? 0) + row.spent_nano_usd);
  for (const keyId of new Set([...spent.keys(), ...stored.keys()]))
    equal(`${accountId} ${keyId}`, 'its spend', stored.get(keyId) ?? 0, spent.get(keyId) ?? 0);
  return found;
}

/** Every receipt that a Wallet has settled is counted once in the hours of its node. */
function receiptsAreCounted({ final, accounts, d1 }: World) {
  const { found, equal } = findings('L10');
  const isKnown = accounts.every(({ receipt, page }) => receipt && page);
  if (!final || !isKnown || !d1?.receipt_hour) return found;
  const taken = accounts.flatMap(({ receipt = [], page = [], request = [] }) => [
    ...receipt.filter(({ settled }) => settled === 1),
    ...matchedReceipts(page),
    ...request.flatMap(({ request_id, node_id, receipt = '0' }) =>
      receipt === '0' || node_id === null ? [] : [{ request_id, node_id }],
    ),
  ]);
  const ofNode = Map.groupBy(taken, ({ node_id }) => node_id);
  const counted = Map.groupBy(d1.receipt_hour, ({ node_id }) => node_id);
  for (const nodeId of new Set([...ofNode.keys(), ...counted.keys()])) {
    const requestIds = new Set((ofNode.get(nodeId) ?? []).map(({ request_id }) => request_id));
    const counts = (counted.get(nodeId) ?? []).reduce((sum, { receipts }) => sum + receipts, 0);
    equal(nodeId, 'the number of its receipts in D1', counts, requestIds.size);
  }
  return found;
}
