/** The printed report of a simulation: the faults that were injected, how requests ended, and which laws were broken. */
import type { RunResult } from './run.ts';

export class Totals {
  readonly counts: Record<string, number> = {};
  runs = 0;
  requestsSent = 0;

  add(result: RunResult): void {
    this.runs += 1;
    this.requestsSent += result.requestsSent;
    for (const [what, count] of Object.entries(result.counts))
      this.counts[what] = (this.counts[what] ?? 0) + count;
  }

  /** Formats the counts, grouped by their first word, the largest of a group first. */
  format(): string {
    const groups = Map.groupBy(Object.entries(this.counts), ([what]) => what.split(' ')[0]!);
    return [...groups]
      .flatMap(([group, entries]) => {
        const rows = entries.sort(([, a], [, b]) => b - a);
        const total = rows.reduce((sum, [, count]) => sum + count, 0);
        return [
          rows.length > 1 ? `${group}: ${total.toLocaleString('en')}` : '',
          ...rows.map(([what, count]) => `  ${count.toLocaleString('en').padStart(13)}  ${what}`),
        ];
      })
      .filter((line) => line !== '')
      .join('\n');
  }

  /** The fraction of requests that reached a node. */
  get servedFraction(): number {
    return (this.counts['requests at a node'] ?? 0) / this.requestsSent;
  }
}

/** @returns the command that repeats a run */
export function commandFor({ seed, requests, scenario }: RunResult): string {
  return `node tests/simulation/main.ts --seed ${seed} --requests ${requests} --scenario ${scenario}`;
}

export function formatViolations(result: RunResult): string {
  const distinct = new Map(
    result.violations.map((each) => [`${each.law} ${each.about}: ${each.what}`, each]),
  );
  return [
    `Seed ${result.seed} breaks ${[...new Set(result.violations.map(({ law }) => law))].join(', ')}:`,
    ...[...distinct.keys()].slice(0, 20).map((line) => `  ${line}`),
    ...(distinct.size > 20 ? [`  and ${distinct.size - 20} more`] : []),
    'The last events about the first of them, in virtual milliseconds:',
    ...result.history.map((line) => `  ${line}`),
    `To repeat it: ${commandFor(result)}`,
  ].join('\n');
}
