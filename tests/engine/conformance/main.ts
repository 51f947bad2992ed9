/** `npm run conformance`: asks a running engine whether it is what Tollgate takes it for. Exits with 1 when it is not. */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { stopAll } from '../../../gpu-pool/local/process.ts';
import { through } from './edge-assumption.ts';
import { startEdgeSubject } from './edge-subject.ts';
import { lineOf, summaryOf } from './report.ts';
import { DIRECT, THROUGH_EDGE } from './rows.ts';
import { checkAll, differences, type Result } from './run.ts';
import { readSubject } from './subject.ts';
import { measureTiming } from './timing.ts';
import { UNCHECKED } from './unchecked.ts';

const options = new Command('conformance')
  .description(
    'Asks a running SGLang, which nobody else uses meanwhile, whether it is what Tollgate takes it for.',
  )
  .requiredOption('--engine <url>', 'origin of the engine')
  .option('--api-key <key>', 'its --api-key; default: ENGINE_API_KEY', process.env.ENGINE_API_KEY)
  .option(
    '--admin-key <key>',
    'its --admin-api-key; default: ENGINE_ADMIN_API_KEY',
    process.env.ENGINE_ADMIN_API_KEY,
  )
  .option('--source <folder>', 'its package, …/site-packages/sglang, to look for readers of flags')
  .option('--direct-only', 'leave out the agent and the edge', false)
  .option('--model <id>', 'id of its model at the edge; default: the shipped one with its weights')
  .option('--allow-exposed-engine', 'for an engine on a private network', false)
  .option('--only <prefixes>', 'check only what has an id that begins so, such as abort,billing/stream', '')
  .option('--no-timing', 'do not measure how fast the engine is')
  .option('--json <file>', 'write the results to this file, too')
  .parse()
  .opts<{
    engine: string;
    apiKey?: string;
    adminKey?: string;
    source?: string;
    directOnly: boolean;
    model?: string;
    allowExposedEngine: boolean;
    only: string;
    timing: boolean;
    json?: string;
  }>();

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopAll().then(() => process.exit(130)));
try {
  process.exitCode = (await examine()) ? 0 : 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}

/** @returns whether there is no difference */
async function examine(): Promise<boolean> {
  const subject = await readSubject({
    engineUrl: options.engine,
    engineKey: options.apiKey,
    engineAdminKey: options.adminKey,
    source: options.source,
  });
  const { version, model_path: model } = subject.facts.info;
  console.log(`SGLang ${version} with ${model}\n`);
  const chosen = <T extends { id: string }>(rows: readonly T[]) =>
    rows.filter(({ id }) => options.only.split(',').some((prefix) => id.startsWith(prefix)));
  const onResult = (result: Result) => console.log(lineOf(result));
  const results = await checkAll(chosen(DIRECT), subject, onResult);
  const timing = options.timing ? await measureTiming(subject) : null;
  const throughEdge = options.directOnly ? [] : chosen(THROUGH_EDGE);
  if (throughEdge.length > 0) {
    console.log('\nThrough agent and edge, which are being started:\n');
    const edge = await startEdgeSubject(subject, options);
    const rows = throughEdge.map((assumption) => through(edge, assumption));
    results.push(...(await checkAll(rows, subject, onResult).finally(() => edge.stop())));
  }
  console.log(`\n${summaryOf(results)}`);
  if (options.json)
    writeFileSync(
      options.json,
      `${JSON.stringify({ version, model, results, unchecked: UNCHECKED, timing }, null, 2)}\n`,
    );
  return differences(results).length === 0;
}
