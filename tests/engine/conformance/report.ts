/** Results as a table for people. */
import type { Result } from './run.ts';

export function lineOf({ id, verdict, madeBy, says, seconds }: Result): string {
  const head = `${MARKS[verdict.kind]} ${id.padEnd(30)} ${says}`;
  const detail =
    verdict.kind === 'not_applicable'
      ? `not applicable: ${verdict.reason}`
      : `expected ${verdict.expected} · seen ${verdict.seen}`;
  return `${head}\n    ${detail} · ${madeBy.join(', ')} · ${seconds.toFixed(1)} s`;
}

const MARKS = { ok: 'ok     ', differs: 'DIFFERS', not_applicable: 'n/a    ' } as const;

export function summaryOf(results: readonly Result[]): string {
  const count = (kind: Result['verdict']['kind']) =>
    results.filter(({ verdict }) => verdict.kind === kind).length;
  return `${results.length} assumptions: ${count('ok')} hold, ${count('differs')} differ, ${count('not_applicable')} are not applicable`;
}
