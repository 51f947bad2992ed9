/** The laws of money at the end: nothing is pending, no law is broken, and three counts of the tokens agree. */
import { readLedgers, sum } from '../../e2e/stored-state.ts';
import { brokenLaws } from '../../laws/laws.ts';
import type { ClientObservation, RequestRow } from '../../laws/world.ts';
import { receiptsArrived } from '../../soak/receipts-arrived.ts';
import { unsettledMoney } from '../../soak/settle.ts';
import { eventually } from '../conformance/subject.ts';
import type { Find } from './finding.ts';
import type { Pair } from './pair.ts';

/** Leases, grace periods and heartbeats, on a busy machine. */
const SETTLED_MS_MAX = 120_000;
const NONE = 'none';

export async function checkMoney(
  pair: Pair,
  clients: readonly ClientObservation[],
  find: Find,
): Promise<void> {
  const { stateDir, journals } = pair;
  await eventually(() => unsettledMoney(stateDir, journals).length === 0, SETTLED_MS_MAX);
  find('holds, leases and receipts that are pending', NONE, listed(unsettledMoney(stateDir, journals)));
  // Two running engines have no log of what they generated: receipts are the second count here.
  const world = () => ({ final: true, ...readLedgers(stateDir), clients });
  await eventually(() => brokenLaws(world()).length === 0, SETTLED_MS_MAX);
  const broken = brokenLaws(world()).map(({ law, about, what }) => `${law} ${about} ${what}`);
  find('laws of money that are broken', NONE, listed(broken));
  const read = journals.read();
  const missing = receiptsArrived(read, readLedgers(stateDir)).map(({ about, what }) => `${about} ${what}`);
  find('receipts that D1 has otherwise than the nodes', NONE, listed(missing));
  const rows = readLedgers(stateDir).accounts.flatMap(({ request = [] }) => request);
  findSameTokens(rows, read, find);
  findSameCost(rows, clients, find);
}

/** A lost receipt counts only the tokens that were journalled; those billed beyond it did reach the edge. */
function findSameTokens(
  rows: readonly RequestRow[],
  journals: ReturnType<Pair['journals']['read']>,
  find: Find,
): void {
  const receipts = [...journals].flatMap(([nodeId, journal]) =>
    [...journal.receipts.values()].map((receipt) => [`${nodeId} ${receipt.request_id}`, receipt] as const),
  );
  const byAttempt = new Map(receipts);
  const billed = rows.filter(({ completion_tokens }) => completion_tokens > 0);
  const lost = (row: RequestRow) => receiptOf(row)?.outcome === 'lost';
  const receiptOf = (row: RequestRow) => byAttempt.get(`${row.node_id} ${row.request_id}`);
  const kept = billed.filter((row) => !lost(row));
  const counted = sum(kept, (row) => receiptOf(row)?.usage.completion_tokens ?? 0);
  find(
    'tokens billed, and in the nodes’ receipts',
    counted,
    sum(kept, (row) => row.completion_tokens),
  );
  const more = billed.filter(
    (row) => lost(row) && receiptOf(row)!.usage.completion_tokens > row.completion_tokens,
  );
  find('lost receipts that count more than was billed', 0, more.length);
}

/** Every finished answer named its cost; the sum of these is what the Wallet took for them. */
function findSameCost(rows: readonly RequestRow[], clients: readonly ClientObservation[], find: Find): void {
  const named = clients.filter(({ costNanoUsd }) => typeof costNanoUsd === 'number');
  const ids = new Set(named.map(({ requestId }) => requestId));
  const taken = sum(
    rows.filter(({ request_id }) => ids.has(request_id)),
    (row) => row.charge_nano_usd,
  );
  const what = `nano-USD that ${named.length} answers named, and that were charged`;
  find(
    what,
    sum(named, ({ costNanoUsd }) => costNanoUsd!),
    taken,
  );
}

function listed(lines: readonly string[]): string {
  return lines.length === 0 ? NONE : lines.slice(0, 10).join('; ');
}
