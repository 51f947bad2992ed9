/** Open findings of the reconciliation: the numbers of both sides as a sentence, and a link to close each. */
import type { DriftRow } from '../../db/drift.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function DriftTable(props: {
  c: PortalContext;
  findings: readonly DriftRow[];
  nodeNames: ReadonlyMap<string, string>;
}) {
  const { c, findings, nodeNames } = props;
  const { t, f } = words(c);
  const names = t.operator.reconciliation;
  return (
    <section aria-labelledby="findings" class="mb-12">
      <h2 id="findings" class="mb-2">
        {names.findingsTitle}
      </h2>
      {findings.length === 0 ? (
        <p>{names.none}</p>
      ) : (
        <Sheet label={names.findingsTitle}>
          <Heads
            names={[
              names.found,
              names.kind,
              names.what,
              names.request,
              names.account,
              names.node,
              names.actions,
            ]}
          />
          <tbody>
            {findings.map((row) => (
              <tr>
                <td>{f.dateTime(row.foundAtMs)}</td>
                <td>
                  <span class="badge badge-sm badge-soft badge-error">
                    {names.kinds[row.kind] ?? row.kind}
                  </span>
                </td>
                <td class="wraps min-w-72">{driftText(c, row)}</td>
                <td class="font-mono">
                  <a class="link" href={`/operator/accounts/${row.accountId}/requests/${row.requestId}`}>
                    {row.requestId}
                  </a>
                </td>
                <td class="font-mono">
                  <a class="link" href={`/operator/accounts/${row.accountId}`}>
                    {row.accountId}
                  </a>
                </td>
                <td>{row.nodeId === '' ? '–' : (nodeNames.get(row.nodeId) ?? row.nodeId)}</td>
                <td>
                  <a class="link" href={closeHref(row)} aria-label={`${names.close}: ${row.requestId}`}>
                    {names.close}
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}

/** The numbers of both sides as a sentence. */
export function driftText(c: PortalContext, row: DriftRow): string {
  const { t, f } = words(c);
  const values = Object.entries(row.detail).map(([name, value]) => [
    name,
    typeof value === 'number' ? f.count(value) : (value ?? '–'),
  ]);
  return t.operator.reconciliation[row.kind](Object.fromEntries(values));
}

function closeHref({ requestId, nodeId, kind }: DriftRow): string {
  return `/operator/reconciliation/close?${new URLSearchParams({ request: requestId, node: nodeId, kind })}`;
}
