/** `npm run recipe`: writes the files that start a node on a GPU host: engine, agent and tunnel. */
import { Command, Option } from 'commander';
import { judgeVersion, VERSION_MIN, VERSION_RECOMMENDED } from '../agent/sglang/version.ts';
import { HARDWARE, type Hardware } from '../protocol/schemas.ts';
import { SHIPPED_MODELS } from '../protocol/shipped-profiles.ts';
import {
  commit,
  directory,
  edgeUrl,
  hostAndPort,
  image,
  isToken,
  publicUrl,
  versionOf,
} from './arguments.ts';
import { bundle } from './bundle.ts';
import { explain } from './explain.ts';
import { createEngineKeys } from './keys.ts';
import { MACHINES } from './machine.ts';
import { chooseModel } from './model.ts';
import { printBundles, WriteError, writeBundles } from './out.ts';
import { FORMATS, type Format, RANKS, type Rank, type Recipe } from './recipe.ts';

interface Options {
  model?: string;
  profile?: string;
  hardware?: Hardware;
  format: Format;
  rank?: `${Rank}`;
  distInitAddr?: string;
  image?: string;
  revision?: string;
  edge?: string;
  url?: string;
  join?: string;
  cacheDir: string;
  checkoutDir: string;
  out?: string;
  explain?: boolean;
}

const DIST_INIT_ADDR_EXAMPLE = 'HOST0:5000';

const command = new Command('npm run recipe --')
  .description(
    'Writes the files that start a node on a GPU host: SGLang, the agent in front of it, and a tunnel.',
  )
  .allowExcessArguments(false)
  .addOption(
    new Option('--model <id>', 'a shipped model (default: that of the join token)').choices(SHIPPED_MODELS),
  )
  .option('--profile <file>', 'profile of another model, as JSON')
  .addOption(
    new Option('--hardware <hosts>', 'hardware of the node (default: that of the join token)').choices(
      HARDWARE,
    ),
  )
  .addOption(
    new Option('--format <format>', 'shell script, Compose file or systemd units')
      .choices(FORMATS)
      .default('compose' satisfies Format),
  )
  .addOption(
    new Option('--rank <number>', 'for a pair: which host (default: both)').choices(RANKS.map(String)),
  )
  .addOption(
    new Option(
      '--dist-init-addr <host:port>',
      'for a pair: address of rank 0 on the network between the hosts',
    ).argParser(hostAndPort),
  )
  .addOption(new Option('--image <image>', `another SGLang image, ${VERSION_MIN} or newer`).argParser(image))
  .addOption(
    new Option('--revision <commit>', "commit of the model's repository, to pin weights and code").argParser(
      commit,
    ),
  )
  .addOption(
    new Option('--url <url>', 'URL at which the edge reaches the agent')
      .env('TOLLGATE_URL')
      .argParser(publicUrl),
  )
  .addOption(
    new Option('--edge <url>', 'URL of the edge (default: from the join token)')
      .env('TOLLGATE_EDGE')
      .argParser(edgeUrl),
  )
  .addOption(new Option('--join <token>', 'join token; safer in the environment').env('TOLLGATE_JOIN_TOKEN'))
  .addOption(
    new Option('--cache-dir <dir>', 'directory on the host for weights and compiled kernels')
      .argParser(directory)
      .default('/srv/sglang'),
  )
  .addOption(
    new Option('--checkout-dir <dir>', 'directory on the host with this repository, after npm ci')
      .argParser(directory)
      .default('/opt/tollgate'),
  )
  .option(
    '--out <dir>',
    'directory to write the files to, secrets readable only by their owner (default: stdout)',
  )
  .option('--explain', 'print each engine argument with its reason and source instead of files')
  .addHelpText(
    'after',
    '\nEach run creates new engine keys. The hosts of a pair can be written in one run or in two, because rank 1\nhas no keys.',
  );

const options = command.parse().opts<Options>();
// This is not the option's parser, because commander repeats the value that it refuses, and this is a secret.
if (options.join !== undefined && !isToken(options.join)) {
  command.error(
    'error: The join token contains spaces or line breaks: paste it exactly as the pool page shows it.',
  );
}
const chosen = await chooseModel(options);
if (typeof chosen === 'string') throw command.error(`error: ${chosen}`);
const { hosts, image: pinned } = MACHINES[chosen.hardware];
if (hosts === 1 && (options.rank !== undefined || options.distInitAddr !== undefined)) {
  command.error(`error: ${chosen.hardware} is a single host: leave out --rank and --dist-init-addr.`);
}

const keys = createEngineKeys();
const ranks = options.rank === undefined ? RANKS.slice(0, hosts) : [Number(options.rank) as Rank];
const recipes = ranks.map(
  (rank): Recipe => ({
    ...chosen,
    rank,
    image: options.image ?? pinned,
    distInitAddr: options.distInitAddr ?? DIST_INIT_ADDR_EXAMPLE,
    revision: options.revision,
    keys,
    joinToken: options.join,
    edgeUrl: options.edge,
    publicUrl: options.url,
    cacheDir: options.cacheDir,
    checkoutDir: options.checkoutDir,
  }),
);

if (options.explain) {
  process.stdout.write(explain(recipes[0]!));
} else {
  const bundles = recipes.map((recipe) => ({
    directory: hosts === 1 ? '' : `rank-${recipe.rank}`,
    files: bundle(recipe, options.format),
  }));
  if (options.out === undefined) {
    process.stdout.write(printBundles(bundles));
    note('The keys above are real. Use --out to write them to files that only their owner can read.');
  } else {
    const paths = await writeBundles(bundles, options.out).catch((error: unknown) => {
      if (!(error instanceof WriteError)) throw error;
      return command.error(`error: ${error.message}`);
    });
    for (const path of paths) note(`wrote ${path}`);
  }
  for (const line of remainingSteps()) note(line);
}

/** The settings that the operator still has to fill in. */
function remainingSteps(): string[] {
  const missing = [
    ...(options.join === undefined ? ['TOLLGATE_JOIN_TOKEN'] : []),
    ...(options.url === undefined ? ['TOLLGATE_URL'] : []),
  ];
  const agent = missing.length > 0 ? `${missing.join(' and ')} in agent.env, ` : '';
  return [
    ...(ranks.includes(0) ? [`Still to fill in: ${agent}TUNNEL_TOKEN in tunnel.env.`] : []),
    ...(hosts === 2 && options.distInitAddr === undefined
      ? [
          `Still to fill in: ${DIST_INIT_ADDR_EXAMPLE}, the address of rank 0; --dist-init-addr sets it on both hosts.`,
        ]
      : []),
    ...(versionOf(options.image ?? pinned) === null
      ? [`The image tag has no version: make sure it is SGLang ${VERSION_MIN} or newer.`]
      : []),
    ...(judgeVersion(versionOf(options.image ?? pinned) ?? '') === 'outdated'
      ? [`SGLang ${VERSION_RECOMMENDED} or newer is recommended: earlier releases may not end on SIGTERM.`]
      : []),
  ];
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
