/** `npm run simulate`: replays a trace through the policies, or plans a pool's capacity. */
import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { HARDWARE, type Hardware } from '../protocol/schemas.ts';
import { ceilingHitRate } from './ceiling.ts';
import { measure } from './measure.ts';
import { plan } from './plan.ts';
import { plot } from './plot.ts';
import { POLICIES, type PolicyName } from './policies.ts';
import { percent, policyTable, type Row, recoveryTable, table } from './print.ts';
import { recovery } from './recovery.ts';
import { failedNodeIndexes, type Outage, replay } from './replay.ts';
import { makeSyntheticTrace } from './synthetic-trace.ts';
import { readTrace, resizeTrace, type TraceRequest } from './trace.ts';

interface SimulateFlags {
  trace?: string;
  nodes: number[];
  mix: Hardware[];
  policies: PolicyName[];
  isolates: number;
  snapshotAge: number;
  outputScale: number;
  rate: number;
  minutes: number;
  copies?: number;
  queue: number;
  outage?: Outage;
  seed: number;
  json?: string;
  svg?: string;
}

interface PlanFlags {
  nodes: Partial<Record<Hardware, number>>;
  gpuHour: Record<Hardware, number>;
  promptTokens: number;
  outputTokens: number;
  hitRate: number;
  hitPrice: number;
  missPrice: number;
  outputPrice: number;
  json: boolean;
}

/**
 * The trace holds the customers of this many nodes. A larger pool gets several copies of it, each with customers of
 * its own.
 */
const NODES_PER_COPY = 16;
const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

const program = new Command('npm run simulate --').description(
  'Replays a trace of requests through the routing policies, or plans a pool.',
);

program
  .command('policies', { isDefault: true })
  .description('compares hit rate, balance and time to first token of the policies over simulated engines')
  .option(
    '--trace <file>',
    'JSON lines in Mooncake’s format (default: a small trace generated from the seed)',
  )
  .option('--nodes <counts>', 'pool size, or several to compare: 4,16,64', list(wholeFrom(1, 4_096)), [16])
  .option(
    '--mix <hardware>',
    `hardware, repeated over the nodes: ${HARDWARE.join(', ')}`,
    list(oneOf(HARDWARE)),
    ['8xh800-pair', '8xmi300x', '8xmi300x'] satisfies Hardware[],
  )
  .option('--policies <names>', POLICY_NAMES.join(', '), list(oneOf(POLICY_NAMES)), POLICY_NAMES)
  .option('--isolates <count>', 'number of edge isolates, which share no state', wholeFrom(1, 100_000), 200)
  .option(
    '--snapshot-age <ms>',
    'age of the pool snapshot that the router sees',
    wholeFrom(0, 600_000),
    2_000,
  )
  .option(
    '--output-scale <factor>',
    'multiplies output lengths, to match a reasoning model (a generated trace already does)',
    factor,
  )
  .option('--rate <factor>', 'multiplies the request rate', factor, 1)
  .option('--minutes <count>', 'minutes to use from the start of the trace', wholeFrom(1, 100_000), 100_000)
  .option(
    '--copies <count>',
    'copies of the trace, each with its own users (default: one per 16 nodes)',
    wholeFrom(1, 1_000),
  )
  .option(
    '--queue <requests>',
    'requests that can queue at a node (--max-queued-requests)',
    wholeFrom(1, 100_000),
    256,
  )
  .option('--outage <share@minute>', 'share of the nodes that dies for good at this minute: 0.33@30', outage)
  .option('--seed <number>', 'seed of all random choices', wholeFrom(0, 2 ** 32), 1)
  .option('--json <file>', 'file to write the results to')
  .option('--svg <file>', 'file to plot the results to')
  .action(simulate);

program
  .command('plan')
  .description('plans cost, utilisation and margin of a pool for a given demand')
  .requiredOption('--nodes <hardware:count,…>', 'for example 8xh800-pair:2,8xmi300x:1', nodeCounts)
  .option('--gpu-hour <usd>', 'one price, or hardware:price,… (default: 2 USD)', gpuPrices, gpuPrices('2'))
  .requiredOption('--prompt-tokens <count>', 'prompt tokens per day', factor)
  .requiredOption('--output-tokens <count>', 'output tokens per day', factor)
  .option(
    '--hit-rate <share>',
    'share of prompt tokens found in the cache, 0 to 1, as `simulate` measures it',
    share,
    0.3,
  )
  .addOption(usd('--hit-price', 0.14, 'prompt tokens found in the cache'))
  .addOption(usd('--miss-price', 0.55, 'other prompt tokens'))
  .addOption(usd('--output-price', 2.19, 'output tokens'))
  .option('--json', 'prints JSON', false)
  .action(showPlan);

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${errorMessage(error)}\n`);
  process.exitCode = 1;
});

function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'path' in error ? `${error.path} cannot be read or written. Choose another file.` : error.message;
}

async function simulate(flags: SimulateFlags): Promise<void> {
  const source = await sourceTrace(flags);
  const rows: Row[] = [];
  const ceilings = new Map<number, number>();
  for (const nodes of flags.nodes) {
    const hardware = Array.from({ length: nodes }, (_, index) => flags.mix[index % flags.mix.length]!);
    const copies = flags.copies ?? wholeIfLarge(nodes / NODES_PER_COPY);
    const trace = resizeTrace(source, copies, flags.minutes);
    const options = {
      trace,
      hardware,
      isolates: flags.isolates,
      snapshotAgeMs: flags.snapshotAge,
      queuedMax: flags.queue,
      seed: flags.seed,
    };
    const ceiling = ceilingHitRate(options);
    ceilings.set(nodes, ceiling);
    console.log(
      `\n${describe(trace, hardware)}, ${flags.isolates} isolates, snapshots ${flags.snapshotAge} ms old`,
    );
    console.log(`upper bound of the hit rate, with one shared cache: ${percent(ceiling)}`);
    const rowsOfSize: Row[] = [];
    for (const policy of flags.policies) {
      if (process.stderr.isTTY) process.stderr.write(`  ${policy.padEnd(40)}\r`);
      const policySetup = POLICIES[policy];
      const { outage } = flags;
      const replayed = replay({ ...options, policySetup, outage });
      const figures = measure(replayed);
      const dead = outage ? failedNodeIndexes(outage, hardware) : null;
      const survivors = dead && hardware.filter((_, index) => !dead.has(index));
      const recovered =
        outage && recovery(replayed, replay({ ...options, hardware: survivors!, policySetup }), outage);
      rowsOfSize.push({ policy, nodes, figures, recovery: recovered ?? null });
    }
    console.log(policyTable(rowsOfSize, ceiling));
    if (flags.outage) console.log(`\n${recoveryTable(rowsOfSize)}`);
    rows.push(...rowsOfSize);
  }
  if (flags.json) {
    await writeFile(
      flags.json,
      `${JSON.stringify({ ceilings: Object.fromEntries(ceilings), rows }, null, 2)}\n`,
    );
  }
  if (flags.svg) await writeFile(flags.svg, plot(rows, ceilings));
}

async function sourceTrace({ trace, outputScale, rate, seed }: SimulateFlags): Promise<TraceRequest[]> {
  if (trace !== undefined) return readTrace(trace, { output: outputScale ?? 8, rate });
  return makeSyntheticTrace({ requests: 4_000, seed }).map((request) => ({
    ...request,
    atMs: request.atMs / rate,
    outputTokens: Math.max(1, Math.round(request.outputTokens * (outputScale ?? 1))),
  }));
}

function describe(trace: readonly TraceRequest[], hardware: readonly Hardware[]): string {
  const counts = HARDWARE.map((each) => [hardware.filter((one) => one === each).length, each] as const);
  const pool = counts.filter(([count]) => count > 0).map(([count, each]) => `${count} × ${each}`);
  return `${trace.length} requests over ${pool.join(', ')}`;
}

function showPlan(flags: PlanFlags): void {
  const result = plan(
    { nodes: flags.nodes, gpuHourUsd: flags.gpuHour },
    {
      promptTokensPerDay: flags.promptTokens,
      outputTokensPerDay: flags.outputTokens,
      hitRate: flags.hitRate,
      hitUsd: flags.hitPrice,
      missUsd: flags.missPrice,
      outputUsd: flags.outputPrice,
    },
  );
  if (flags.json) {
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  const dollars = (amount: number) => `${amount.toFixed(2)} USD`;
  console.log(
    table(
      ['plan', ''],
      [
        ['GPUs', String(result.gpus)],
        ['GPU cost per day', dollars(result.costPerDayUsd)],
        ['utilisation', percent(result.utilisation)],
        ['revenue per day', dollars(result.revenuePerDayUsd)],
        ['cost per million tokens', dollars(result.costPerMillionUsd)],
        ['revenue per million tokens', dollars(result.revenuePerMillionUsd)],
        ['margin per million tokens', dollars(result.marginPerMillionUsd)],
        ['margin', percent(result.margin)],
        ['break-even utilisation', percent(result.breakEvenUtilisation)],
      ],
    ),
  );
  if (result.utilisation > 1) {
    console.log(
      `\nThe pool is too small: the demand is ${result.utilisation.toFixed(1)} times its capacity.`,
    );
  }
}

function wholeIfLarge(copies: number): number {
  return copies < 1 ? copies : Math.round(copies);
}

function usd(flag: string, fallback: number, what: string): Option {
  return new Option(`${flag} <usd>`, `per million ${what}`).argParser(factor).default(fallback);
}

function wholeFrom(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Enter a whole number from ${least} to ${most}.`);
  };
}

function factor(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Enter a number above 0.');
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('Enter a number from 0 to 1.');
}

function oneOf<T extends string>(known: readonly T[]) {
  return (text: string): T => {
    const found = known.find((each) => each === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`${text} is unknown. Choose from ${known.join(', ')}.`);
  };
}

function list<T>(item: (text: string) => T) {
  return (text: string): T[] => text.split(',').map((each) => item(each.trim()));
}

function outage(text: string): Outage {
  const [shareText, minuteText, ...rest] = text.split('@');
  const value = {
    share: Number(shareText),
    atMs: Number(minuteText) * 60_000,
    forMs: Number.MAX_SAFE_INTEGER,
  };
  if (rest.length === 0 && value.share > 0 && value.share < 1 && value.atMs >= 0) return value;
  throw new InvalidArgumentError('Enter a share and a minute, for example 0.33@30.');
}

function nodeCounts(text: string): Partial<Record<Hardware, number>> {
  return Object.fromEntries(pairs(text).map(([hardware, count]) => [hardware, wholeFrom(0, 10_000)(count)]));
}

/** Parses one price for all hardware, or a price for each. */
function gpuPrices(text: string): Record<Hardware, number> {
  if (!text.includes(':')) {
    const price = factor(text);
    return Object.fromEntries(HARDWARE.map((each) => [each, price])) as Record<Hardware, number>;
  }
  const named = Object.fromEntries(pairs(text).map(([hardware, price]) => [hardware, factor(price)]));
  const missing = HARDWARE.filter((each) => named[each] === undefined);
  if (missing.length > 0) throw new InvalidArgumentError(`Also give a price for ${missing.join(', ')}.`);
  return named as Record<Hardware, number>;
}

function pairs(text: string): [Hardware, string][] {
  return text.split(',').map((pair) => {
    const [hardware = '', value = ''] = pair.trim().split(':');
    return [oneOf(HARDWARE)(hardware), value];
  });
}
