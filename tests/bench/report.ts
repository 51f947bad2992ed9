/** Formats the bench's tables as text. */
import { type CapacityLine, LAG_MS, type Trial } from './capacity.ts';
import type { Row } from './comparison.ts';
import { type Cost, KINDS } from './costs.ts';
import { type Counts, callsOf } from './counting.ts';
import { OBJECTS } from './counts.ts';
import type { Goal } from './goals.ts';
import { type Dimension, type GrowthLine, RULE, shapeOf } from './growth.ts';
import type { MemoryLine } from './memory.ts';
import { type BillLine, PRICES, PRICES_OF, totalUsd } from './prices.ts';
import type { Startup } from './startup.ts';
import { type Rounds, ratioOf } from './statistics.ts';
import { workloadNamed } from './workloads.ts';

const HEADS = [
  '',
  'requests/s',
  '(range)',
  'CPU ÷ bare',
  '+p50 ms',
  '+p99 ms',
  '+first ms',
  'events/s',
  'CPU ms/req',
  'CPU µs/event',
  'peak MB',
];
const WIDTHS = [16, 11, 15, 11, 9, 9, 10, 11, 11, 13, 9];

/** The table of one workload at one number of connections. */
export function comparisonTable(rows: readonly Row[]): string {
  const { workload, connections } = rows[0]!;
  const title = `${workloadNamed(workload).title}, ${connections} connection${connections === 1 ? '' : 's'}`;
  const bare = rows.find(({ system }) => system === 'bare');
  const lines = rows.map((row) => [
    row.system,
    figure(row.requestsPerSecond, 0),
    range(row.requestsPerSecond),
    times(ratioOf(row.cpuMsPerRequest, bare?.cpuMsPerRequest)),
    figure(row.addedP50Ms, 2),
    figure(row.addedP99Ms, 2),
    figure(row.addedFirstMs, 2),
    figure(row.eventsPerSecond, 0),
    figure(row.cpuMsPerRequest, 3),
    figure(row.cpuUsPerEvent, 2),
    figure(row.peakBytes, 0, 1e-6),
  ]);
  return `\n${title}\n${[HEADS, ...lines].map(columns).join('\n')}`;
}

export function memoryLine({ system, streams, closedBytes, openBytes, bytesPerStream }: MemoryLine): string {
  const mb = (bytes: number, digits: number) => number(bytes / 1e6, digits);
  return `  ${system.padEnd(16)} ${mb(bytesPerStream, 3)} MB a stream: ${mb(closedBytes, 0)} MB without, ${mb(openBytes, 0)} MB with ${number(streams, 0)} open`;
}

export function trialLine(system: string, { streams, lagMs, cores, isCarried }: Trial): string {
  const verdict = isCarried ? 'carried' : 'NOT carried';
  const used = cores === null ? '' : `, ${number(cores, 2)} cores`;
  return `  ${system.padEnd(16)} ${number(streams, 0).padStart(6)} streams: p99 ${number(lagMs, 0)} ms later than one alone${used}: ${verdict}`;
}

export function capacityLine({ system, streams, failedAt }: CapacityLine): string {
  const bound = failedAt === null ? 'or more' : `and not ${number(failedAt, 0)}`;
  return `  ${system.padEnd(16)} carries ${number(streams, 0)} streams of 40 tokens/s, ${bound} (the limit: p99 of an answer at most ${LAG_MS} ms later than one alone)`;
}

export function costTable({ kind, counts, cpuMs, bill }: Cost): string {
  const cpu = cpuMs === null ? 'CPU not measured and not billed' : `CPU ${number(cpuMs, 2)} ms`;
  return `\n${KINDS[kind].title}; ${cpu}${countsTable(counts, bill)}`;
}

function countsTable(counts: Counts, bill: readonly BillLine[]): string {
  const per = (count: number) => number(count / counts.answered, 3).padStart(9);
  const objects = OBJECTS.flatMap((name) => {
    const { calls, alarms, rowsWritten, rowsRead } = counts.objects[name];
    const byMethod = Object.entries(calls).map(([method, count]) => `${method}${per(count).trimEnd()}`);
    const object = counts.objects[name];
    return [
      `  ${name.padEnd(11)} calls ${per(callsOf(object))}   alarms ${per(alarms)}   rows written ${per(rowsWritten)}   read ${per(rowsRead)}`,
      ...(byMethod.length > 0 ? [`           ${byMethod.join('  ')}`] : []),
    ];
  });
  const { queries, rowsWritten, rowsRead } = counts.d1;
  const lines = bill.map(({ thing, perRequest, usdPerMillion }) => {
    const price = `at $${PRICES[thing].usd} a million`;
    return `  ${thing.padEnd(21)} ${number(perRequest, 4).padStart(10)} ${price.padEnd(22)} $${usdPerMillion.toFixed(3).padStart(7)}   ${PRICES[thing].source}`;
  });
  return [
    `\nCounted per request, over ${counts.answered} requests and ${number(counts.seconds, 1)} s`,
    ...objects,
    `  D1       queries ${per(queries).slice(2)}                      rows written ${per(rowsWritten)}   read ${per(rowsRead)}`,
    `\nA million such requests at Cloudflare’s list prices of ${PRICES_OF}`,
    ...lines,
    `  ${'total'.padEnd(56)}$${totalUsd(bill).toFixed(3).padStart(7)}`,
  ].join('\n');
}

export function startupTable({
  gzipBytes,
  startMs,
  readMs,
  startsMs,
  readStartsMs,
  bareStartsMs,
}: Startup): string {
  const range = (values: readonly number[]) =>
    `${number(Math.min(...values), 0)}–${number(Math.max(...values), 0)} ms`;
  const starts = `workerd with it ${range(startsMs)}, with its files unused ${range(readStartsMs)}, with a bare Worker ${range(bareStartsMs)}`;
  return `\nBundle ${number(gzipBytes / 1e3, 0)} kB gzip; start-up ${number(startMs, 1)} ms, and ${number(readMs, 1)} ms to read the files (${starts})`;
}

export function growthLine(line: GrowthLine): string {
  const { dimension, size, cpuMsPerRequest, idleShare, p50Ms, rowsWritten, rowsRead } = line;
  const cpu = cpuMsPerRequest === null ? '–' : number(cpuMsPerRequest, 3);
  return (
    `  ${size.toLocaleString('en').padStart(10)} ${dimension.padEnd(18)} CPU ${cpu.padStart(8)} ms/request` +
    `   p50 ${number(p50Ms, 2).padStart(8)} ms   rows written ${number(rowsWritten, 2).padStart(7)}` +
    `   read ${number(rowsRead, 1).padStart(8)}   at rest ${number(100 * idleShare, 1).padStart(5)} % of a core`
  );
}

export function growthShapes(lines: readonly GrowthLine[]): string {
  const dimensions = [...new Set(lines.map(({ dimension }) => dimension))];
  const shape = (of: Dimension, cost: (line: GrowthLine) => number | null) =>
    shapeOf(
      lines
        .filter(({ dimension }) => dimension === of)
        .map((line) => ({ size: line.size, cost: cost(line) ?? 0 })),
    ) ?? '–';
  const each = dimensions.map((of) => {
    const parts = [
      `CPU per request ${shape(of, (line) => line.cpuMsPerRequest)}`,
      `p50 ${shape(of, (line) => line.p50Ms)}`,
      `rows written ${shape(of, (line) => line.rowsWritten)}`,
      `rows read ${shape(of, (line) => line.rowsRead)}`,
    ];
    return `  with ${of}: ${parts.join(', ')}`;
  });
  return [...each, `  (${RULE})`].join('\n');
}

export function goalsTable(goals: readonly Goal[]): string {
  const lines = goals.map(({ what, is, goal, unit, measured, met }) => {
    const verdict = met === null ? 'not measured' : met ? 'met' : 'NOT MET';
    const value = measured === null ? '–' : number(measured, 3);
    return `  ${what.padEnd(52)} ${value.padStart(9)} ${unit.padEnd(4)} goal ${is} ${`${goal} ${unit}`.padEnd(9)} ${verdict}`;
  });
  return ['\ngoals', ...lines].join('\n');
}

function columns(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join(' ');
}

function figure(rounds: Rounds | null, digits: number, factor = 1): string {
  return rounds === null ? '–' : number(rounds.median * factor, digits);
}

function times(ratio: number | null): string {
  return ratio === null ? '–' : `${number(ratio, 2)} ×`;
}

function range(rounds: Rounds | null): string {
  return rounds === null ? '–' : `${number(rounds.min, 0)}–${number(rounds.max, 0)}`;
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
