/** Tokens by node: counted = billed + written off, with the reasons for what was written off. */

import type { Reconciliation } from '../../billing/reconciliation.ts';
import type { CountedTokens } from '../../db/drift.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function CountedTable(props: {
  c: PortalContext;
  reconciliation: Reconciliation;
  nodeNames: ReadonlyMap<string, string>;
}) {
  const { c, reconciliation, nodeNames } = props;
  const { t, f } = words(c);
  const names = t.operator.reconciliation;
  const nodeIds = [...new Set(reconciliation.counted.map(({ nodeId }) => nodeId))];
  return (
    <section aria-labelledby="counted" class="mb-12">
      <h2 id="counted" class="mb-1">
        {names.countedTitle}
      </h2>
      <p class="muted mb-2 text-sm">{names.countedSince(f.dateTime(reconciliation.countedSinceMs))}</p>
      {nodeIds.length === 0 ? (
        <p>{names.noReceipts}</p>
      ) : (
        <Sheet label={names.countedTitle}>
          <Heads
            names={[
              names.node,
              `#${names.receipts}`,
              `#${names.counted}`,
              `#${names.billed}`,
              `#${names.writtenOff}`,
              t.requests.one.why,
            ]}
          />
          <tbody>
            {nodeIds.map((nodeId) => (
              <NodeLine
                c={c}
                name={nodeNames.get(nodeId) ?? nodeId}
                rows={reconciliation.counted.filter((row) => row.nodeId === nodeId)}
              />
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}

function NodeLine({ c, name, rows }: { c: PortalContext; name: string; rows: readonly CountedTokens[] }) {
  const { t, f } = words(c);
  const { reasons } = t.operator.reconciliation;
  const sum = (value: (row: CountedTokens) => number) => rows.reduce((total, row) => total + value(row), 0);
  const counted = sum((row) => row.promptTokens + row.completionTokens);
  const writtenOff = sum(writtenOffOf);
  const reasonTexts = rows
    .filter((row) => writtenOffOf(row) !== 0)
    .map((row) => `${reasons[row.reason] ?? row.reason}: ${f.count(writtenOffOf(row))}`);
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="num">{f.count(sum((row) => row.receipts))}</td>
      <td class="num">{f.count(counted)}</td>
      <td class="num">{f.count(counted - writtenOff)}</td>
      <td class="num">{f.count(writtenOff)}</td>
      <td class="wraps min-w-56">{reasonTexts.join('; ') || '–'}</td>
    </tr>
  );
}

function writtenOffOf(row: CountedTokens): number {
  return row.writtenOffPromptTokens + row.writtenOffCompletionTokens;
}
