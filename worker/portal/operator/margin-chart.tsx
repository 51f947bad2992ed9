/** Bar chart of nodes' revenue beside their cost, bucket by bucket. */
import type { MarginSums } from '../../domain/margin.ts';
import { ChartSection } from '../components/chart/chart-section.tsx';
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
    <ChartSection
      title={names.chartTitle[width]}
      label={names.chartLabel(period, total('earned'), total('cost'))}
      legend={MARGIN_PARTS.map((part) => ({ name: names.parts[part], color: PART_COLORS[part] }))}
      draw={(size) => marginBars(bars, texts, size)}
    />
  );
}
