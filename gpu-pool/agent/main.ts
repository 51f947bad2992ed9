/** `npm run node`: puts an agent in front of the SGLang engine of this host. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Agent, DEFAULT_DEADLINES, DRAIN_DEADLINE_MS, startAgent } from './agent.ts';
import { logToStderr } from './log.ts';
import { StartRefused } from './start-refused.ts';

interface Flags {
  engine: string;
  engineKey?: string;
  engineAdminKey?: string;
  allowExposedEngine?: boolean;
  acceptEngineVersion?: string;
  revision?: string;
  join?: string;
  edge?: string;
  listen: string;
  metrics: string;
  url?: string;
  state?: string;
  engineWait?: number;
  firstTokenDeadline: number;
  idleDeadline: number;
  drainDeadline: number;
}

const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400))
    throw new InvalidArgumentError('Enter a number of seconds up to 86400, for example 30.');
  return value;
};
const command = new Command('npm run node --')
  .description('Connects an SGLang engine to Tollgate: enrols it at the edge and serves requests from it.')
  .allowExcessArguments(false)
  .addOption(
    new Option('--engine <url>', 'URL of the engine')
      .env('TOLLGATE_ENGINE')
      .default('http://127.0.0.1:30000'),
  )
  .addOption(new Option('--join <token>', 'join token, needed only to enrol').env('TOLLGATE_JOIN_TOKEN'))
  .addOption(
    new Option('--edge <url>', 'URL of the edge (default: from the join token)').env('TOLLGATE_EDGE'),
  )
  .addOption(
    new Option('--listen <host:port>', 'address to listen on').env('TOLLGATE_LISTEN').default('127.0.0.1:0'),
  )
  .addOption(
    new Option('--metrics <host:port>', 'address to serve /metrics on; keep it private to the operator')
      .env('TOLLGATE_METRICS')
      .default('127.0.0.1:0'),
  )
  .addOption(
    new Option('--url <url>', 'URL at which the edge reaches this agent (default: the listen address)').env(
      'TOLLGATE_URL',
    ),
  )
  .addOption(
    new Option(
      '--state <dir>',
      'directory for identity and receipts (default: ~/.tollgate/node-<engine>)',
    ).env('TOLLGATE_STATE'),
  )
  .addOption(new Option('--engine-key <key>', "the engine's --api-key").env('ENGINE_API_KEY'))
  .addOption(
    new Option('--engine-admin-key <key>', "the engine's --admin-api-key").env('ENGINE_ADMIN_API_KEY'),
  )
  .addOption(
    new Option('--allow-exposed-engine', 'serve even though the engine is reachable without this agent').env(
      'TOLLGATE_ALLOW_EXPOSED_ENGINE',
    ),
  )
  .addOption(
    new Option(
      '--accept-engine-version <version>',
      'accept this SGLang version even though it looks too old or unrecognised',
    ).env('TOLLGATE_ACCEPT_ENGINE_VERSION'),
  )
  .addOption(
    new Option('--revision <commit>', 'required revision of the weights (default: any)').env(
      'TOLLGATE_REVISION',
    ),
  )
  .addOption(
    new Option('--engine-wait <seconds>', 'longest wait for the engine to start (default: no limit)')
      .env('TOLLGATE_ENGINE_WAIT')
      .argParser(seconds),
  )
  .addOption(
    new Option('--first-token-deadline <seconds>', 'longest wait for a first token')
      .env('TOLLGATE_FIRST_TOKEN_DEADLINE')
      .argParser(seconds)
      .default(DEFAULT_DEADLINES.firstTokenMs / 1_000),
  )
  .addOption(
    new Option('--idle-deadline <seconds>', 'longest wait between tokens')
      .env('TOLLGATE_IDLE_DEADLINE')
      .argParser(seconds)
      .default(DEFAULT_DEADLINES.idleMs / 1_000),
  )
  .addOption(
    new Option('--drain-deadline <seconds>', 'time for running requests to finish after SIGTERM')
      .env('TOLLGATE_DRAIN_DEADLINE')
      .argParser(seconds)
      .default(DRAIN_DEADLINE_MS / 1_000),
  )
  .addHelpText(
    'after',
    '\nPass secrets through the environment: every user of the host can see the command line.',
  );

const flags = command.parse().opts<Flags>();
try {
  const agent = await startAgent({
    engineUrl: flags.engine,
    engineKey: flags.engineKey,
    engineAdminKey: flags.engineAdminKey,
    allowExposedEngine: flags.allowExposedEngine ?? false,
    acceptEngineVersion: flags.acceptEngineVersion,
    ...(flags.engineWait === undefined ? {} : { engineWaitMs: flags.engineWait * 1_000 }),
    revision: flags.revision,
    joinToken: flags.join,
    edgeUrl: flags.edge,
    listen: flags.listen,
    metricsListen: flags.metrics,
    publicUrl: flags.url,
    // Each engine has a node of its own: two agents on one host must not share a journal.
    stateDir: flags.state ?? join(homedir(), '.tollgate', `node-${flags.engine.replace(/\W+/g, '-')}`),
    deadlines: { firstTokenMs: flags.firstTokenDeadline * 1_000, idleMs: flags.idleDeadline * 1_000 },
  });
  process.stdout.write(
    `${JSON.stringify({ listening: agent.url, metrics: agent.metricsUrl, node: agent.nodeId })}\n`,
  );
  live(agent, flags.drainDeadline * 1_000);
} catch (error) {
  if (!(error instanceof StartRefused)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/**
 * Keeps the agent running until a signal or the edge ends it. The first signal drains, a second one aborts running
 * requests.
 */
function live(agent: Agent, drainDeadlineMs: number): void {
  let draining = false;
  const onSignal = (signal: string) => {
    if (draining) return agent.abortRunning();
    draining = true;
    logToStderr('draining', { signal });
    void agent.drain({ deadlineMs: drainDeadlineMs }).then(() => process.exit(0));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  void agent.removed.then(async () => {
    logToStderr('removed', {
      advice:
        'The edge removed this node. To bring it back, delete its state directory and enrol it with a new join token.',
    });
    await agent.drain();
    process.exit(0);
  });
}
