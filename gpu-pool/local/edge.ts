/** The edge on this machine, with a state folder of its own: its database, its bundle, its secrets, its process. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import type { EdgeProcessOptions } from './edge-process.ts';
import { parseListening, type RunningProcess, run, start } from './process.ts';

/** Keeps wrangler quiet: no metrics, no banner, no requests to Cloudflare. */
const QUIET = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  DO_NOT_TRACK: '1',
  CI: 'true',
};

export interface EdgeOptions {
  readonly port: number;
  /** Folder of secrets, database and logs. */
  readonly stateDir: string;
  /** The result of `bundle`. */
  readonly script: string;
  /** Settings of worker/env.ts beside the secrets. */
  readonly settings?: Record<string, string>;
  /** Probes the service every minute, as its cron does in production. */
  readonly probes?: boolean;
}

export interface Edge extends RunningProcess {
  readonly url: string;
  readonly operatorToken: string;
}

/** The folder in which `migrate` and `startEdge` keep the database. */
export function databaseIn(stateDir: string): string {
  return join(stateDir, 'd1');
}

/** Applies the migrations that the local database lacks. @throws Error that says what to do when one fails */
export async function migrate(stateDir: string): Promise<void> {
  try {
    await run(
      'wrangler',
      ['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', databaseIn(stateDir)],
      QUIET,
    );
  } catch (error) {
    const cause = (error as Error).message.split('\n').filter((line) => line.includes('ERROR'));
    throw new Error(
      `The database in ${stateDir} could not be migrated and may be half-migrated. ` +
        'Delete the folder and start again: the demo data is created again.\n' +
        cause.join('\n'),
    );
  }
}

/**
 * Bundles the Worker as a deployment would. @returns the path of its main module; the others are beside it
 * (modules.ts)
 */
export async function bundle(stateDir: string): Promise<string> {
  const outDir = join(stateDir, 'bundle');
  await run('wrangler', ['deploy', '--dry-run', '--outdir', outDir], QUIET);
  return join(outDir, 'index.js');
}

/** Starts the edge and waits until it listens. */
export async function startEdge(edge: EdgeOptions): Promise<Edge> {
  const { port, stateDir, script, settings = {}, probes } = edge;
  const secrets = localSecrets(stateDir);
  const options: EdgeProcessOptions = {
    port,
    script,
    persistTo: databaseIn(stateDir),
    probes,
    settings: {
      PUBLIC_ORIGIN: `http://localhost:${port}`,
      ENVIRONMENT: 'development',
      ...secrets,
      ...settings,
    },
  };
  const edgeProcess = await start(
    {
      command: process.execPath,
      args: [fileURLToPath(new URL('./edge-process.ts', import.meta.url))],
      env: { ...QUIET, TOLLGATE_EDGE_PROCESS: JSON.stringify(options) },
      logFile: join(stateDir, 'edge.log'),
      readyWithinMs: 60_000,
    },
    parseListening,
  );
  return { ...edgeProcess, url: `http://localhost:${port}`, operatorToken: secrets.OPERATOR_TOKEN! };
}

/** Secrets that are generated once for this folder: another pepper would invalidate every key in its database. */
function localSecrets(stateDir: string): Record<string, string> {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, 'edge.env');
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    const secrets = {
      AUTH_SECRET: randomBytes(32).toString('hex'),
      KEY_PEPPER: randomBytes(32).toString('hex'),
      EDGE_SIGNING_KEY: JSON.stringify(privateKey.export({ format: 'jwk' })),
      OPERATOR_TOKEN: randomBytes(32).toString('hex'),
      SANDBOX_WEBHOOK_SECRET: randomBytes(32).toString('hex'),
    };
    const lines = Object.entries(secrets).map(([name, value]) => `${name}='${value}'\n`);
    writeFileSync(file, lines.join(''), { mode: 0o600 });
  }
  return parseEnv(readFileSync(file, 'utf8')) as Record<string, string>;
}
