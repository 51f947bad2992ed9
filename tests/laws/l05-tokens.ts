/** L5: tokens that nodes counted = tokens billed + tokens written off, each with a reason, + tokens in flight. */

import type { EngineCount, Law, NodeReceiptRow } from './world.ts';
import { findings, groupBy, requestsOf } from './world-views.ts';

export const tokens: Law = (world) => {
  const { found, report } = findings('L5');
  const written = world.d1?.node_receipt;
  for (const row of written ?? []) {
    const isWrittenOff = row.written_off_completion_tokens !== 0 || row.written_off_prompt_tokens !== 0;
    if (isWrittenOff && row.write_off_reason === null)
      report(row.request_id, `has a write-off at ${row.node_id} for no reason`);
    if (row.written_off_completion_tokens < 0 || row.written_off_prompt_tokens < 0)
      report(row.request_id, `was billed more than ${row.node_id} said that it counted`);
  }
  for (const { accountId, receipt } of world.accounts)
    for (const row of receipt ?? [])
      if (world.final && row.settled !== 1)
        report(row.request_id, `has a receipt of ${row.node_id} that ${accountId} has not settled`);
  if (!world.final || !written || !world.nodes) return found;

  const requests = requestsOf(world);
  const receipts = groupBy(written, (row) => `${row.request_id} ${row.node_id}`);
  for (const { nodeId, counts } of world.nodes) {
    for (const [requestId, attempts] of groupBy(counts, ({ requestId }) => requestId)) {
      const row = requests.get(requestId)?.row;
      const billed = row?.node_id === nodeId ? row : undefined;
      const writeOffs = receipts.get(`${requestId} ${nodeId}`) ?? [];
      const tail = sum(attempts, ({ tailTokensMax }) => tailTokensMax ?? 0);
      if (attempts.some(({ running }) => running)) continue;
      const completion = sum(attempts, ({ completionTokens }) => completionTokens);
      const accounted =
        (billed?.completion_tokens ?? 0) + sum(writeOffs, (each) => each.written_off_completion_tokens);
      const missing = completion - accounted;
      if (missing < 0 || missing > tail)
        report(requestId, `${nodeId} counted ${completion} tokens, billed or written off are ${accounted}`);
      if (tail > 0 || !attempts.every(hasPrompt)) continue;
      const prompt = sum(attempts, ({ promptTokens }) => promptTokens ?? 0);
      const accountedPrompt =
        (billed?.prompt_tokens ?? 0) + sum(writeOffs, (each) => each.written_off_prompt_tokens);
      if (prompt !== accountedPrompt)
        report(requestId, `${nodeId} read ${prompt} tokens, billed or written off are ${accountedPrompt}`);
    }
  }
  return found;
};

function hasPrompt({ promptTokens }: EngineCount): boolean {
  return promptTokens !== undefined;
}

function sum<T extends EngineCount | NodeReceiptRow>(rows: readonly T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}
