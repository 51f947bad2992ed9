/** Bar chart of nodes' revenue beside their cost, bucket by bucket. */
import { raw } from 'hono/html';
import type { MarginSums } from '../../domain/margin.ts';
import { SLIM, WIDE } from '../components/chart/bars.ts';
import { MARGIN_PARTS, type MarginBar, marginBars, PART_COLORS } from '../components/chart/margin-bars.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function MarginChart(props: {
  c: PortalContext;
  width: 'hour' | 'day';
  period: string;
  buckets: readonly { startMs: number; sums: MarginSums }[];
}) {
  const { c, width, period, buckets } = props;
  const { t, f } = words(c);
  const names = t.margin;
  const bars = buckets.map(
    ({ startMs, sums }): MarginBar => ({
      label: f.bucket(startMs, width),
      earned: sums.chargeNanoUsd - sums.grantedNanoUsd,
      granted: sums.grantedNanoUsd,
      cost: sums.costNanoUsd,
    }),
  );
  const total = (part: 'earned' | 'cost') => f.usd(bars.reduce((sum, bar) => sum + bar[part], 0));
  const texts = { parts: names.parts, shortUsd: f.shortUsd };
  return (
    <section class="mb-10">
      <h2 class="mb-3">{names.chartTitle[width]}</h2>
      <ul class="muted mb-3 flex flex-wrap gap-x-5 gap-y-1 text-sm">
        {MARGIN_PARTS.map((part) => (
          <li class="flex items-center gap-2">
            <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
              <rect width="12" height="12" rx="2" fill={PART_COLORS[part]} />
            </svg>
            {names.parts[part]}
          </li>
        ))}
      </ul>
      <figure role="img" aria-label={names.chartLabel(period, total('earned'), total('cost'))} class="chart">
        {/* one drawing per screen width: scaled down, the labels would be unreadable */}
        <div class="max-lg:hidden">{raw(marginBars(bars, texts, WIDE))}</div>
        <div class="max-w-xl lg:hidden">{raw(marginBars(bars, texts, SLIM))}</div>
      </figure>
    </section>
  );
}
