/** Revenue beside cost as bars: revenue from granted credit is stacked on paid revenue, and the cost stands beside both. */
import { drawBars, type Size } from './bars.ts';

export const MARGIN_PARTS = ['earned', 'granted', 'cost'] as const;
export type MarginPart = (typeof MARGIN_PARTS)[number];

export const PART_COLORS: Record<MarginPart, string> = {
  earned: 'var(--chart-answer)',
  granted: 'var(--chart-cached)',
  cost: 'var(--chart-reasoning)',
};

/** The amounts of a bucket, in nano-USD. */
export interface MarginBar extends Readonly<Record<MarginPart, number>> {
  readonly label: string;
}

/** @returns an `<svg>` element without script or inline style */
export function marginBars(
  bars: readonly MarginBar[],
  words: { parts: Record<MarginPart, string>; shortUsd: (nano: number) => string },
  size: Size,
): string {
  const series = MARGIN_PARTS.map((part) => ({
    name: words.parts[part],
    stack: part === 'cost' ? 'cost' : 'revenue',
    color: PART_COLORS[part],
    values: bars.map((bar) => bar[part]),
  }));
  return drawBars(
    bars.map(({ label }) => label),
    series,
    { ...size, axis: words.shortUsd, axisWidth: 64 },
  );
}
