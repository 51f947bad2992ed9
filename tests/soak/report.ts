/** The printed report of a soak. */
import { sum } from '../e2e/stored-state.ts';
import type { SoakResult } from './soak.ts';

export function failed({ violations, audit, unsettled }: SoakResult): boolean {
  return violations.length > 0 || audit !== null || unsettled.length > 0;
}

export function report(result: SoakResult): string {
  const { seed, tookMs, observations, faults, violations, audit, unsettled } = result;
  return [
    `Seed ${seed}, ${(tookMs / 1_000).toFixed(0)} s`,
    `${observations.length} requests: ${counts(observations, ({ ending, status }) => (ending === 'refused' ? `refused ${status}` : ending))}`,
    `  of the other customers’ requests, ${servedPercent(observations)} % were served`,
    `  by kind: ${counts(observations, ({ kind }) => kind)}`,
    `  refusals: ${counts(
      observations.filter(({ code }) => code !== null),
      ({ code }) => code!,
    )}`,
    `  endings: ${counts(result.state.d1.usage_event ?? [], ({ ending }) => ending ?? 'none')}`,
    `${sum([...faults.values()], (n) => n)} faults, ${sum(
      [...faults].filter(([name]) => name.startsWith('kill')),
      ([, n]) => n,
    )} of them kills: ${[...faults].map(([name, n]) => `${name} ${n}`).join(', ')}`,
    ...tokenLines(result),
    ...unsettled.slice(0, 20).map((what) => `UNSETTLED ${what}`),
    ...(audit === null ? ['The audit found no difference.'] : [`AUDIT ${audit}`]),
    violations.length === 0 ? 'No law is broken.' : `${violations.length} violations:`,
    ...violations.slice(0, 50).map(({ law, about, what }) => `  ${law} ${about} ${what}`),
  ].join('\n');
}

/** The share of whole answers among the requests of customers with credit, apart from the attacker's. */
function servedPercent(observations: SoakResult['observations']): string {
  const others = observations.filter(({ kind }) => OTHERS.has(kind));
  return (
    (100 * others.filter(({ ending }) => ending === 'whole').length) /
    Math.max(1, others.length)
  ).toFixed(1);
}

const OTHERS: ReadonlySet<string> = new Set([
  'short_stream',
  'long_stream',
  'short_whole',
  'long_whole',
  'conversation',
]);

function tokenLines({ state, journals, world }: SoakResult): string[] {
  const { d1, engines } = state;
  const written = d1.node_receipt ?? [];
  const counted = sum(
    [...engines.values()].flatMap((log) => [...log.values()]),
    (each) => each.completionTokens,
  );
  const receipts = sum(
    [...journals.values()].flatMap((journal) => [...journal.receipts.values()]),
    (each) => each.usage.completion_tokens,
  );
  const billed = sum(d1.usage_event ?? [], (row) => row.completion_tokens);
  const off = sum(written, (row) => row.written_off_completion_tokens);
  const drift = sum(written, (row) => Math.min(0, row.written_off_completion_tokens));
  const reasons = new Map<string, number>();
  for (const row of written)
    if (row.write_off_reason !== null)
      reasons.set(
        row.write_off_reason,
        (reasons.get(row.write_off_reason) ?? 0) + row.written_off_completion_tokens,
      );
  const charged = sum(d1.usage_event ?? [], (row) => row.charge_nano_usd);
  const allowed = (world.nodes ?? [])
    .flatMap(({ counts }) => counts)
    .filter(({ tailTokensMax }) => tailTokensMax! > 0);
  return [
    `Tokens: engines ${counted}, receipts ${receipts}, billed ${billed}, written off ${off}, unreported ${counted - billed - off}, drift ${drift}`,
    `  written off: ${[...reasons].map(([reason, n]) => `${reason} ${n}`).join(', ') || 'none'}`,
    `  ${allowed.length} of ${sum([...engines.values()], (log) => log.size)} attempts may have unreported tokens: their engine or agent died, hung or reported falsely`,
    `Charged ${(charged / 1e9).toFixed(9)} USD in ${d1.ledger_entry?.length ?? 0} entries`,
  ];
}

function counts<T>(rows: readonly T[], of: (row: T) => string): string {
  const by = new Map<string, number>();
  for (const row of rows) by.set(of(row), (by.get(of(row)) ?? 0) + 1);
  return [...by]
    .sort(([, a], [, b]) => b - a)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');
}
