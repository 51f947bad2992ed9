/** Margins as numbers: one row per bucket or node, and the sum of the rows. */
import type { Child } from 'hono/jsx';
import { type MarginSums, marginFigures, sumMargins } from '../../domain/margin.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export interface MarginRow {
  readonly head: Child;
  /** cells between the head and the numbers */
  readonly more?: Child;
  readonly sums: MarginSums;
}

export function MarginTable(props: {
  c: PortalContext;
  id: string;
  title: string;
  /** names of the columns before the numbers */
  heads: readonly string[];
  rows: readonly MarginRow[];
}) {
  const { c, id, title, heads, rows } = props;
  const { t } = words(c);
  const names = t.margin;
  return (
    <section aria-labelledby={id} class="mb-10">
      <h2 id={id} class="mb-2">
        {title}
      </h2>
      <Sheet label={title}>
        <Heads
          names={[
            ...heads,
            `#${names.revenue}`,
            `#${names.granted}`,
            `#${names.cost}`,
            `#${names.margin}`,
            `#${names.perGpuHour}`,
            `#${names.output}`,
            `#${names.reached}`,
            `#${names.breakEven}`,
            `#${names.idle}`,
            `#${names.writtenOff}`,
          ]}
        />
        <tbody>
          {rows.map(({ head, more, sums }) => (
            <tr>
              <th scope="row">{head}</th>
              {more}
              <Cells c={c} sums={sums} />
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colspan={heads.length}>
              {names.total}
            </th>
            <Cells c={c} sums={sumMargins(rows.map(({ sums }) => sums))} />
          </tr>
        </tfoot>
      </Sheet>
    </section>
  );
}

function Cells({ c, sums }: { c: PortalContext; sums: MarginSums }) {
  const { t, f } = words(c);
  const { costNanoUsd, marginNanoUsd, marginGpuHourNanoUsd, reached, breakEven, idle } = marginFigures(sums);
  const orDash = (value: number | null, text: (value: number) => string) =>
    value === null ? '–' : text(value);
  return (
    <>
      <td class="num">{f.usdColumn(nanoUsd(sums.chargeNanoUsd))}</td>
      <td class="num">{f.usdColumn(nanoUsd(sums.grantedNanoUsd))}</td>
      <td class="num">{costNanoUsd === null ? t.margin.costNotSet : f.usdColumn(costNanoUsd)}</td>
      <td class="num">
        {marginNanoUsd === null ? '–' : f.usdColumn(marginNanoUsd)}
        {marginNanoUsd !== null && sums.uncosted > 0 && '*'}
      </td>
      <td class="num">{orDash(marginGpuHourNanoUsd, f.usd)}</td>
      <td class="num">{f.count(sums.completionTokens)}</td>
      <td class="num">{orDash(reached, f.count)}</td>
      <td class="num">{orDash(breakEven, f.count)}</td>
      <td class="num">{orDash(idle, f.percent)}</td>
      <td class="num">{f.count(sums.writtenOffTokens)}</td>
    </>
  );
}
