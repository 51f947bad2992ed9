/** `npm run engine-faults`: hurts two real engines and their agents, and checks what clients get and pay. Exits with 1 on a difference. */
import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { stopAll } from '../../../gpu-pool/local/process.ts';
import {
  ARCHITECTURES,
  type Architecture,
  DEFAULT_FOLDER,
  RECOMMENDED,
  RELEASES,
  type Release,
} from '../folder.ts';
import { CASES } from './cases.ts';
import { Client } from './client.ts';
import { collector, type Finding, lineOf } from './finding.ts';
import { checkMoney } from './money.ts';
import { type Pair, startPair } from './pair.ts';

const options = new Command('engine-faults')
  .description('Kills and stops two engines of tests/engine/install.ts and their agents, behind a real edge.')
  .option('--folder <folder>', 'where the engines are installed', DEFAULT_FOLDER)
  .addOption(new Option('--engine-version <version>').choices(RELEASES).default(RECOMMENDED))
  .addOption(new Option('--architecture <name>').choices(ARCHITECTURES).default(ARCHITECTURES[0]))
  .option('--only <faults>', `some of: ${Object.keys(CASES).join(', ')}`)
  .option('--json <file>', 'write the findings to this file, too')
  .parse()
  .opts<{
    folder: string;
    engineVersion: Release;
    architecture: Architecture;
    only?: string;
    json?: string;
  }>();

const findings: Finding[] = [];
const onFinding = (finding: Finding) => {
  findings.push(finding);
  console.log(lineOf(finding));
};
let pair: Pair | undefined;
// Engines that nobody ends keep a core busy each.
const end = async (exitCode: number) => {
  await (pair?.stop() ?? stopAll());
  process.exit(exitCode);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130));
process.once('unhandledRejection', (error) => {
  console.error(error);
  void end(2);
});
try {
  const { folder, engineVersion: release, architecture } = options;
  pair = await startPair({ folder, release, architecture }, (step) => console.log(step));
  console.log(`Two SGLang ${release}, ${architecture}\n`);
  await hurt(pair);
  const differing = findings.filter(({ holds }) => !holds).length;
  console.log(`\n${findings.length} findings: ${findings.length - differing} hold, ${differing} differ`);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(findings, null, 2)}\n`);
  process.exitCode = differing === 0 ? 0 : 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
} finally {
  await pair?.stop();
}

async function hurt(pair: Pair): Promise<void> {
  const client = new Client(pair);
  const only = options.only?.split(',');
  for (const [name, run] of Object.entries(CASES)) {
    if (only && !only.includes(name)) continue;
    const find = collector(name, onFinding);
    // A case that breaks off is a difference, and the money must be right all the same.
    await run(pair, client, find).catch((error: Error) =>
      find('the case runs to its end', 'yes', error.message),
    );
  }
  await checkMoney(pair, client.observations, collector('money', onFinding));
}
