/** The performance goals of Tollgate, checked against the figures of this run alone. */
import type { CapacityLine } from './capacity.ts';
import type { Row } from './comparison.ts';
import type { Cost, CostKind } from './costs.ts';
import { rowsWritten } from './counting.ts';
import type { Dimension, GrowthLine } from './growth.ts';
import type { MemoryLine } from './memory.ts';
import { totalUsd } from './prices.ts';
import type { Startup } from './startup.ts';
import { ratioOf } from './statistics.ts';
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
  readonly memory: readonly MemoryLine[];
  readonly capacity: readonly CapacityLine[];
  readonly costs: readonly Cost[];
  readonly growth: readonly GrowthLine[];
  readonly startup: Startup | null;
}

/** The connections at which systems are compared. */
const CONNECTIONS = 16;
const MB = 1e6;

export function goals(measured: Measured): Goal[] {
  return [
    ...ofStreams(measured),
    ...ofWholeAnswers(measured),
    ...ofAgent(measured),
    ...ofMemory(measured),
    ...ofCosts(measured),
    ...ofGrowth(measured),
    ...ofStart(measured),
  ];
}

type Field = { [K in keyof Row]: Row[K] extends Row['p50Ms'] ? K : never }[keyof Row];

/** A figure of one system as a multiple of another's, at CONNECTIONS. */
function times(
  rows: readonly Row[],
  workload: string,
  field: Field,
  [own, other]: readonly [SystemName, SystemName],
): number | null {
  const of = (name: SystemName) =>
    rows.find((row) => row.system === name && row.workload === workload && row.connections === CONNECTIONS)?.[
      field
    ];
  return ratioOf(of(own), of(other));
}

function ofStreams({ rows, capacity }: Measured): Goal[] {
  const event = (workload: string, other: SystemName) =>
    times(rows, workload, 'cpuUsPerEvent', ['tollgate', other]);
  const carried = capacity.find(({ system }) => system === 'tollgate')?.streams ?? null;
  return [
    atMost('CPU of a paced event ÷ bare, 100-event answers', 1.8, '×', event('paced', 'bare')),
    atMost('… ÷ Portkey', 1, '×', event('paced', 'portkey')),
    atMost('… ÷ one-api', 1, '×', event('paced', 'one-api')),
    atMost('CPU of a 4,000-event stream ÷ bare', 1.5, '×', event('reasoning', 'bare')),
    atMost('CPU of a 200-event stream ÷ bare', 2.8, '×', event('stream', 'bare')),
    atLeast('streams of 40 tokens/s that one isolate carries', 600, '', carried),
  ];
}

function ofWholeAnswers({ rows }: Measured): Goal[] {
  const perSecond = (other: SystemName) => times(rows, 'small', 'requestsPerSecond', ['tollgate', other]);
  const cpu = (workload: string) => times(rows, workload, 'cpuMsPerRequest', ['tollgate', 'bare']);
  return [
    atMost('CPU of an unstreamed request ÷ bare', 2.2, '×', cpu('small')),
    atLeast('unstreamed requests/s ÷ bare', 0.55, '×', perSecond('bare')),
    atLeast('unstreamed requests/s ÷ Portkey', 2.5, '×', perSecond('portkey')),
    atMost('CPU of a 100 KB prompt ÷ bare', 2, '×', cpu('prompt')),
  ];
}

function ofAgent({ rows }: Measured): Goal[] {
  const earlier = ['agent', 'agent-before'] as const;
  return [
    atMost('agent: CPU of a request ÷ before', 0.5, '×', times(rows, 'small', 'cpuMsPerRequest', earlier)),
    atMost(
      'agent: CPU of an event in bursts ÷ before',
      0.6,
      '×',
      times(rows, 'reasoning', 'cpuUsPerEvent', earlier),
    ),
  ];
}

function ofMemory({ memory }: Measured): Goal[] {
  const perStream = (name: SystemName) => {
    const bytes = memory.find(({ system }) => system === name)?.bytesPerStream;
    return bytes === undefined ? null : bytes / MB;
  };
  return [
    atMost('memory of an open stream: edge', 0.1, 'MB', perStream('tollgate')),
    atMost('memory of an open stream: agent', 0.06, 'MB', perStream('agent')),
  ];
}

function ofCosts({ costs }: Measured): Goal[] {
  const cost = (kind: CostKind) => costs.find((each) => each.kind === kind);
  const usd = (kind: CostKind) => {
    const found = cost(kind);
    return found ? totalUsd(found.bill) : null;
  };
  const seldom = cost('seldom')?.counts;
  const isLongMeasured = cost('long')?.cpuMs != null;
  return [
    atMost(
      'rows of a seldom used key’s request',
      9,
      '',
      seldom ? rowsWritten(seldom) / seldom.answered : null,
    ),
    atMost('seldom used key, a million requests', 10, 'USD', usd('seldom')),
    atMost('busy key, a million requests, 4-token answers', 1.5, 'USD', usd('busy')),
    atMost('the same with 4,000-token answers and CPU', 4, 'USD', isLongMeasured ? usd('long') : null),
  ];
}

function ofGrowth({ growth }: Measured): Goal[] {
  const line = (of: Dimension, size: number) =>
    growth.find((each) => each.dimension === of && each.size === size);
  const cpu = (of: Dimension, size: number) => {
    const [first, last] = [line(of, 1)?.cpuMsPerRequest, line(of, size)?.cpuMsPerRequest];
    return first == null || last == null ? null : last / first;
  };
  const rest = line('nodes', 1_000)?.idleShare ?? null;
  return [
    atMost('1,000 nodes: share of a core at rest', 0.1, '', rest),
    atMost('1,000 nodes: CPU of a request ÷ that with one', 1.2, '×', cpu('nodes', 1_000)),
    atMost('1,000 seldom used keys of 100,000 ÷ one busy key', 4, '×', cpu('keys', 100_000)),
    atMost('1,000 streams at once: CPU of each ÷ one alone', 1.5, '×', cpu('concurrent streams', 1_000)),
  ];
}

/** The start may be no slower than it was, 34 to 37 ms in six runs. */
function ofStart({ startup }: Measured): Goal[] {
  return [
    atMost('start of an isolate', 37, 'ms', startup?.startMs ?? null),
    atMost('bundle, gzip', 0.94, 'MB', startup && startup.gzipBytes / MB),
  ];
}

function atLeast(what: string, goal: number, unit: string, measured: number | null): Goal {
  return { what, is: '≥', goal, unit, measured, met: measured === null ? null : measured >= goal };
}

function atMost(what: string, goal: number, unit: string, measured: number | null): Goal {
  return { what, is: '≤', goal, unit, measured, met: measured === null ? null : measured <= goal };
}
