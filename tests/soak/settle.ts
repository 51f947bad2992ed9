/** Waits, after the faults have ended, until no hold, lease, outbox item, receipt or engine is pending. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalNode } from '../../gpu-pool/local/stack.ts';
import type { JournalKeeper } from '../e2e/journals.ts';
import { readLedgers, sum } from '../e2e/stored-state.ts';

/** @returns descriptions of what was still pending after `withinMs`; empty when nothing was */
export async function settled(
  { stateDir, nodes, journals }: { stateDir: string; nodes: readonly LocalNode[]; journals: JournalKeeper },
  withinMs: number,
): Promise<string[]> {
  for (const endMs = Date.now() + withinMs; ; ) {
    const busy = [...unsettledMoney(stateDir, journals), ...(await busyEngines(nodes))];
    if (busy.length === 0 || Date.now() > endMs) return busy;
    await sleep(500);
  }
}

/** Descriptions of the holds, leases, outbox items and receipts that are pending; empty when there are none. */
export function unsettledMoney(stateDir: string, journals: JournalKeeper): string[] {
  const busy: string[] = [];
  const { accounts, d1 } = readLedgers(stateDir);
  for (const { accountId, credit, outbox, request, lease } of accounts) {
    if (credit?.held_nano_usd) busy.push(`${accountId} holds ${credit.held_nano_usd}`);
    if (outbox) busy.push(`${accountId} has ${outbox} items that are not in D1`);
    const held = request?.filter(({ state }) => state === 'held') ?? [];
    if (held.length > 0) busy.push(`${accountId} has ${held.length} requests under way`);
    // an idle lease is returned a moment after its last request, whose hold may be settled already
    const open = lease?.filter(({ ended_at_ms }) => ended_at_ms === null) ?? [];
    if (open.length > 0) busy.push(`${accountId} has ${open.length} open leases`);
  }
  for (const [nodeId, { opened }] of journals.read()) {
    const begun = new Set([...opened.values()].map(({ request_id }) => request_id)).size;
    const known = sum(
      (d1.receipt_hour ?? []).filter((row) => row.node_id === nodeId),
      ({ receipts }) => receipts,
    );
    if (known < begun) busy.push(`D1 has ${known} receipts of ${nodeId}, which began ${begun} requests`);
  }
  return busy;
}

async function busyEngines(nodes: readonly LocalNode[]): Promise<string[]> {
  const counts = await Promise.all(nodes.map(async (node) => ({ node, running: await runningAt(node) })));
  return counts
    .filter(({ running }) => running > 0)
    .map(({ node, running }) => `${node.name} runs ${running}`);
}

/** The number of requests that an engine runs or has queued. */
export async function runningAt({ engine }: LocalNode): Promise<number> {
  const response = await fetch(`${engine.ready}/v1/loads?include=core`);
  const { loads } = (await response.json()) as {
    loads: { num_running_reqs: number; num_waiting_reqs: number }[];
  };
  return loads.reduce((sum, load) => sum + load.num_running_reqs + load.num_waiting_reqs, 0);
}
