/** Collects everything that a simulated world shows to the laws. */
import { observeEntryChanges } from '../laws/commit-observer.ts';
import { withOpenSums } from '../laws/open-sums.ts';
import { requestsOfGroups } from '../laws/settlement-group-rows.ts';
import type {
  AccountRows,
  ClientObservation,
  Dispatch,
  ProviderPayment,
  RequestRow,
  SettlementGroupRow,
  World,
} from '../laws/world.ts';
import type { DurableHost } from './durable.ts';
import type { Account } from './population.ts';
import { GRACE_MS, LEASE_MS } from './settings.ts';
import type { SimNode } from './sim-node.ts';
import type { Universe } from './universe.ts';

const D1_TABLES = [
  'usage_event',
  'usage_hour',
  'node_hour',
  'ledger_entry',
  'node_receipt',
  'receipt_hour',
  'projection',
  'price',
  'payment_order',
  'payment_event',
  'payment_correction',
  'api_key',
] as const;

/** The parts of the world that the evidence is read from. */
export interface EvidenceSources {
  readonly universe: Universe;
  readonly accounts: readonly Account[];
  readonly nodes: readonly SimNode[];
  readonly clients: readonly ClientObservation[];
  readonly dispatches: readonly Dispatch[];
  readonly payments: readonly ProviderPayment[];
  readonly revocations: World['revocations'];
  readonly probes: NonNullable<World['probes']>;
  /** The largest clock error of any isolate of this world. */
  readonly clockSkewMs: number;
}

export function collectEvidence(sources: EvidenceSources, { final }: { final: boolean }): World {
  const { universe, accounts, nodes } = sources;
  const hosts = accounts.map(({ id }) => universe.host('Wallet', id));
  return {
    final,
    accounts: hosts.map(accountRowsOf),
    d1: withOpenSums(Object.fromEntries(D1_TABLES.map((table) => [table, universe.d1.rows(table)]))),
    nodes: nodes.map(({ id, counts }) => ({ nodeId: id, counts })),
    clients: sources.clients,
    dispatches: sources.dispatches,
    payments: sources.payments,
    revocations: sources.revocations,
    secrets: accounts.flatMap(({ id, marker, keys }) =>
      [marker, ...keys.map(({ key }) => key)].map((text) => ({ accountId: id, text })),
    ),
    logs: universe.logs,
    probes: sources.probes,
    observed: hosts.flatMap((host) => [
      ...host.violations,
      ...observeEntryChanges(host.name, host.sql.rows('SELECT * FROM entry_change')),
    ]),
    bounds: {
      clockSkewMs: sources.clockSkewMs,
      staleMs: 30_000,
      settleMs: LEASE_MS + 2 * GRACE_MS,
      flushTokens: 0,
      // an isolate still counts an answer as active while a slow client reads what its finished node has sent
      unseenActive: 5,
    },
  };
}

function accountRowsOf({ name, sql }: DurableHost): AccountRows {
  const rows = <T>(table: string) => sql.rows<T>(`SELECT * FROM ${table}`);
  const page = rows<SettlementGroupRow>('page');
  const [credit] = rows<NonNullable<AccountRows['credit']>>('credit');
  return {
    accountId: name,
    credit: credit!,
    entry: rows('entry'),
    request: [...rows<RequestRow>('request'), ...requestsOfGroups(page)],
    lease: rows('lease'),
    page,
    receipt: rows('receipt'),
    key_spend: rows('spend'),
    token_spend: rows('token_spend'),
    replay: rows('replay'),
    outbox: sql.rows<{ n: number }>('SELECT count(*) AS n FROM outbox')[0]!.n,
    ends: rows('hold_end'),
  };
}
