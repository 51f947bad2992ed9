/** The periods of the usage page, and the time buckets that each is divided into. */

export const PERIODS = ['24h', '7d', '30d'] as const;
export type Period = (typeof PERIODS)[number];

export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const SHAPES = {
  '24h': { width: 'hour', buckets: 24 },
  '7d': { width: 'day', buckets: 7 },
  '30d': { width: 'day', buckets: 30 },
} as const satisfies Record<Period, { width: 'hour' | 'day'; buckets: number }>;

export interface Buckets {
  readonly width: 'hour' | 'day';
  readonly bucketMs: number;
  /** start of the first bucket */
  readonly fromMs: number;
  /** start of each bucket, oldest first; the last bucket contains `nowMs` */
  readonly starts: readonly number[];
}

export function isPeriod(text: string | undefined): text is Period {
  return PERIODS.some((period) => period === text);
}

export function bucketsOf(period: Period, nowMs: number): Buckets {
  const { width, buckets } = SHAPES[period];
  const bucketMs = width === 'hour' ? HOUR_MS : DAY_MS;
  const last = Math.floor(nowMs / bucketMs) * bucketMs;
  const starts = Array.from({ length: buckets }, (_, index) => last - (buckets - 1 - index) * bucketMs);
  return { width, bucketMs, fromMs: starts[0]!, starts };
}
