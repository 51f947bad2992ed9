/** The numbers of the chart: one row per hour or day, key and model, with the charge to the nano-USD. */
import type { UsageRow } from '../../db/usage.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

/** The most rows shown, so that the page stays under 15 KB; the filters lead to the rest. */
const ROWS_MAX = 100;

const COUNTS = ['requests', 'cachedTokens', 'uncachedTokens', 'reasoningTokens', 'answerTokens'] as const;

export function UsageTable(props: {
  c: PortalContext;
  rows: readonly UsageRow[];
  width: 'hour' | 'day';
  keyNames: ReadonlyMap<string, string>;
}) {
  const { c, rows, width, keyNames } = props;
  const { t, f } = words(c);
  const { kinds } = t.usage;
  const title = t.usage.tableTitle[width];
  const shown = rows.slice(0, ROWS_MAX);
  const formatStart = width === 'hour' ? f.dateTime : f.date;
  const sum = (column: (keyof UsageRow & (typeof COUNTS)[number]) | 'chargeNanoUsd') =>
    rows.reduce((total, row) => total + row[column], 0);
  return (
    <section>
      <h2 class="mb-2">{title}</h2>
      <Sheet label={title}>
        <Heads
          names={[
            t.usage.when[width],
            t.usage.key,
            t.usage.model,
            `#${t.usage.requests}`,
            `#${kinds.cached}`,
            `#${kinds.uncached}`,
            `#${kinds.reasoning}`,
            `#${kinds.answer}`,
            `#${t.usage.chargeUsd}`,
          ]}
        />
        <tbody>
          {shown.map((row) => (
            <tr>
              <td>{formatStart(row.bucketMs)}</td>
              <td>
                <bdi>{keyNames.get(row.keyId) ?? t.usage.removedKey}</bdi>
              </td>
              <td>{row.modelId}</td>
              {COUNTS.map((column) => (
                <td class="num">{f.count(row[column])}</td>
              ))}
              <td class="num font-mono">{f.usdColumn(nanoUsd(row.chargeNanoUsd))}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colspan={3}>
              {t.usage.total}
            </th>
            {COUNTS.map((column) => (
              <td class="num">{f.count(sum(column))}</td>
            ))}
            <td class="num font-mono">{f.usdColumn(nanoUsd(sum('chargeNanoUsd')))}</td>
          </tr>
        </tfoot>
      </Sheet>
      {rows.length > shown.length && (
        <p class="muted mt-2 text-sm">{t.usage.moreRows(f.count(shown.length), f.count(rows.length))}</p>
      )}
    </section>
  );
}
