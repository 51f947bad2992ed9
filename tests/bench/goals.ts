/** The performance goals of Tollgate, checked against the figures of this run alone. */
import type { Row } from './comparison.ts';
import { type Counts, callsOf, rowsWritten } from './counting.ts';
import { type BillLine, totalUsd } from './prices.ts';
import type { Startup } from './startup.ts';
import { overRounds } from './statistics.ts';
import type { SystemName } from './systems/system.ts';

export interface Goal {
  readonly what: string;
  readonly is: '≥' | '≤';
  readonly goal: number;
  readonly unit: string;
  /** null: not measured by this run */
  readonly measured: number | null;
  readonly met: boolean | null;
}

export interface Measured {
  readonly rows: readonly Row[];
  readonly counts: Counts | null;
  readonly bill: readonly BillLine[];
  readonly startup: Startup | null;
}

type Field = { [K in keyof Row]: Row[K] extends Row['p50Ms'] ? K : never }[keyof Row];

export function goals({ rows, counts, bill, startup }: Measured): Goal[] {
  const ofWorkload = (name: string) => rows.filter(({ workload }) => workload === name);
  const small = ofWorkload('small');
  const most = Math.max(...small.map(({ connections }) => connections));
  const ratio = (among: readonly Row[], connections: number, field: Field, other: SystemName) => {
    const find = (name: SystemName) =>
      among.find((row) => row.system === name && row.connections === connections)?.[field]?.median;
    const [own, others] = [find('tollgate'), find(other)];
    return own === undefined || others === undefined ? null : own / others;
  };
  const perEvent = ['stream', 'reasoning'].flatMap((name) => {
    const workloadRows = ofWorkload(name);
    const busiest = Math.max(...workloadRows.map(({ connections }) => connections));
    return ratio(workloadRows, busiest, 'cpuUsPerEvent', 'bare') ?? [];
  });
  const perRequest = (count: number | undefined) =>
    counts && count !== undefined ? count / counts.answered : null;
  const usd = counts && bill.length > 0 ? totalUsd(bill) : null;
  const at = (connections: number) => `${connections} connection${connections === 1 ? '' : 's'}`;
  return [
    atLeast(
      `requests/s, small, ${at(most)}, Tollgate ÷ bare`,
      0.5,
      '×',
      ratio(small, most, 'requestsPerSecond', 'bare'),
    ),
    atLeast(
      `requests/s, small, ${at(most)}, Tollgate ÷ Portkey`,
      3,
      '×',
      ratio(small, most, 'requestsPerSecond', 'portkey'),
    ),
    atMost(
      'CPU per streamed event, Tollgate ÷ bare, the worse of both streams',
      1.5,
      '×',
      perEvent.length > 0 ? Math.max(...perEvent) : null,
    ),
    atMost('added p50 over bare, small, 1 connection', 0.5, 'ms', addedOverBare(small)),
    atMost(
      'Wallet calls per request',
      0.2,
      '',
      perRequest(counts ? callsOf(counts.objects.Wallet) : undefined),
    ),
    atMost(
      'rows written per request, all stores',
      2,
      '',
      perRequest(counts ? rowsWritten(counts) : undefined),
    ),
    atMost('Cloudflare, a million requests', 2, 'USD', usd),
    atMost('bundle, gzip', 1, 'MB', startup && startup.gzipBytes / 1e6),
    atMost('start-up', 50, 'ms', startup?.startMs ?? null),
  ];
}

/** The median over the rounds of the difference to the bare Worker in the same round. */
function addedOverBare(small: readonly Row[]): number | null {
  const rounds = (name: SystemName) =>
    small.find(({ system, connections }) => system === name && connections === 1)?.rounds;
  const [own, bare] = [rounds('tollgate'), rounds('bare')];
  if (!own || !bare) return null;
  return overRounds(own.map(({ totalMs }, i) => totalMs.p50 - bare[i]!.totalMs.p50))?.median ?? null;
}

function atLeast(what: string, goal: number, unit: string, measured: number | null): Goal {
  return { what, is: '≥', goal, unit, measured, met: measured === null ? null : measured >= goal };
}

function atMost(what: string, goal: number, unit: string, measured: number | null): Goal {
  return { what, is: '≤', goal, unit, measured, met: measured === null ? null : measured <= goal };
}
