/** The nodes' receipts of a request: the tokens that each node counted, where they differ from the billed ones. */
import type { ReceiptRow } from '../../db/requests.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function RequestReceipts(props: {
  c: PortalContext;
  receipts: readonly ReceiptRow[];
  /** the node's receipt matched the charge; such a receipt has no row */
  isMatched: boolean;
  nodeName: (id: string) => string;
}) {
  const { c, receipts, isMatched, nodeName } = props;
  const { t, f } = words(c);
  const names = t.requests.one;
  return (
    <section aria-labelledby="receipts">
      <h2 id="receipts" class="mb-1">
        {names.receiptsTitle}
      </h2>
      <p class="muted mb-2 text-sm">{names.receiptsNote}</p>
      {receipts.length === 0 ? (
        <p>{isMatched ? names.sameReceipt : names.noReceipts}</p>
      ) : (
        <Sheet label={names.receiptsTitle}>
          <Heads
            names={[
              names.node,
              names.received,
              names.outcome,
              `#${names.countedPrompt}`,
              `#${names.countedCompletion}`,
              `#${names.writtenOff}`,
              names.why,
            ]}
          />
          <tbody>
            {receipts.map((receipt) => (
              <tr>
                <th scope="row" class="font-normal">
                  {nodeName(receipt.nodeId)}
                </th>
                <td>{f.moment(receipt.receivedAtMs)}</td>
                <td>{names.outcomes[receipt.outcome] ?? receipt.outcome}</td>
                <td class="num">{f.count(receipt.promptTokens)}</td>
                <td class="num">{f.count(receipt.completionTokens)}</td>
                <td class="num">
                  {f.count(receipt.writtenOffPromptTokens + receipt.writtenOffCompletionTokens)}
                </td>
                <td>
                  {receipt.writeOffReason === null
                    ? names.allBilled
                    : (t.operator.reconciliation.reasons[receipt.writeOffReason] ?? receipt.writeOffReason)}
                </td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}
