/** `npm run conformance`: asks a running engine whether it is what Tollgate takes it for. Exits with 1 when it is not. */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { lineOf, summaryOf } from './report.ts';
import { DIRECT } from './rows.ts';
import { checkAll, differences } from './run.ts';
import { readSubject } from './subject.ts';

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
  .option('--only <prefix>', 'check only what has an id that begins so', '')
  .option('--json <file>', 'write the results to this file, too')
  .parse()
  .opts<{
    engine: string;
    apiKey?: string;
    adminKey?: string;
    source?: string;
    only: string;
    json?: string;
  }>();

try {
  const subject = await readSubject({
    engineUrl: options.engine,
    engineKey: options.apiKey,
    engineAdminKey: options.adminKey,
    source: options.source,
  });
  const { version, model_path: model } = subject.facts.info;
  console.log(`SGLang ${version} with ${model}\n`);
  const rows = DIRECT.filter(({ id }) => id.startsWith(options.only));
  const results = await checkAll(rows, subject, (result) => console.log(lineOf(result)));
  console.log(`\n${summaryOf(results)}`);
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ version, model, results }, null, 2)}\n`);
  process.exit(differences(results).length === 0 ? 0 : 1);
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
