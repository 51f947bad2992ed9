/** Tokens by kind as stacked bars. */
import { drawBars, type Size, WIDE } from './bars.ts';

export const KINDS = ['cached', 'uncached', 'reasoning', 'answer'] as const;
export type Kind = (typeof KINDS)[number];

export interface Bar extends Readonly<Record<Kind, number>> {
  readonly label: string;
}

/** @returns an `<svg>` element without script or inline style */
export function tokenBars(
  bars: readonly Bar[],
  words: { kinds: Record<Kind, string>; shortCount: (value: number) => string },
  size: Size = WIDE,
): string {
  const series = KINDS.map((kind) => ({
    name: words.kinds[kind],
    stack: 'tokens',
    color: `var(--chart-${kind})`,
    values: bars.map((bar) => bar[kind]),
  }));
  return drawBars(
    bars.map(({ label }) => label),
    series,
    { ...size, axis: words.shortCount, axisWidth: 44 },
  );
}
