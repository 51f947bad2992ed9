/** Prints figures as a table whose columns are as wide as they must be. */
import type { Figures } from './measure.ts';
import type { Recovery } from './recovery.ts';

export interface Row {
  readonly policy: string;
  readonly nodes: number;
  readonly figures: Figures;
  readonly recovery: Recovery | null;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, index) => Math.max(cell.length, ...rows.map((row) => row[index]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** @param ceiling token hit rate that caches of these sizes allow */
export function policyTable(rows: readonly Row[], ceiling: number): string {
  const head = [
    'policy',
    'hit rate',
    'of ceiling',
    'fullest/mean',
    'TTFT p50',
    'TTFT p99',
    'goodput',
    'served',
    'attempts',
  ];
  return table(
    head,
    rows.map(({ policy, figures }) => [
      policy,
      percent(figures.hitRate),
      percent(figures.hitRate / ceiling),
      figures.imbalance.toFixed(2),
      seconds(figures.ttftP50Ms),
      seconds(figures.ttftP99Ms),
      percent(figures.goodput),
      percent(figures.served / figures.requests),
      figures.amplification.toFixed(3),
    ]),
  );
}

export function recoveryTable(rows: readonly Row[]): string {
  const head = [
    'policy',
    'nodes lost',
    'hits back after',
    'refill takes',
    'served elsewhere',
    'broken off',
    'refused',
  ];
  return table(
    head,
    rows.flatMap(({ policy, recovery }) =>
      recovery === null
        ? []
        : [
            [
              policy,
              String(recovery.struck),
              recovery.recoveredAfterMs === null ? 'never' : seconds(recovery.recoveredAfterMs),
              seconds(recovery.refillMs),
              String(recovery.rescued),
              String(recovery.broken),
              String(recovery.refused),
            ],
          ],
    ),
  );
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 0)} s`;
}
