/** Compares the receipts that agents have journalled with those that D1 has. */
import type { NodeJournal } from '../e2e/journals.ts';
import { type StoredState, sum } from '../e2e/stored-state.ts';
import type { ReceiptHourRow, Violation } from '../laws/world.ts';

/** The receipts of a node and an hour, with their token counts. */
type CountedHour = ReceiptHourRow & { readonly prompt_tokens: number; readonly completion_tokens: number };

/**
 * Checks that D1 has the journals' receipts to the token. Receipts that match what was billed are only hourly sums in D1;
 * the others are rows.
 */
export function receiptsArrived(
  journals: ReadonlyMap<string, NodeJournal>,
  { d1 }: Pick<StoredState, 'd1'>,
): Violation[] {
  const arrived = new Map((d1.node_receipt ?? []).map((row) => [`${row.node_id} ${row.request_id}`, row]));
  return [...journals].flatMap(([nodeId, journal]): Violation[] => {
    const receipts = [
      ...new Map([...journal.receipts.values()].map((each) => [each.request_id, each])).values(),
    ];
    const hours = ((d1.receipt_hour ?? []) as readonly CountedHour[]).filter((row) => row.node_id === nodeId);
    const expected = [
      receipts.length,
      sum(receipts, ({ usage }) => usage.prompt_tokens),
      sum(receipts, ({ usage }) => usage.completion_tokens),
    ].join(', ');
    const found = [
      sum(hours, (row) => row.receipts),
      sum(hours, (row) => row.prompt_tokens),
      sum(hours, (row) => row.completion_tokens),
    ].join(', ');
    const differ = receipts.flatMap(({ request_id, usage }): Violation[] => {
      const row = arrived.get(`${nodeId} ${request_id}`);
      if (!row) return [];
      const [journalled, stored] = [
        `${usage.prompt_tokens}+${usage.completion_tokens}`,
        `${row.prompt_tokens}+${row.completion_tokens}`,
      ];
      if (journalled === stored) return [];
      return [
        { law: 'L5', about: request_id, what: `${nodeId} journalled ${journalled} tokens, D1 has ${stored}` },
      ];
    });
    if (expected === found) return differ;
    const what = `journalled receipts, prompt and completion tokens: ${expected}; D1 has ${found}`;
    return [{ law: 'L5', about: nodeId, what }, ...differ];
  });
}
