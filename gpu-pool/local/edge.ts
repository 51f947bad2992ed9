/** The edge on this machine: `wrangler dev` over a state folder of its own, offline. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type Running, run, start } from './process.ts';

/** wrangler stays quiet and asks nobody anything. */
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
  /** secrets, database and logs live here */
  readonly stateDir: string;
  /** settings of worker/env.ts beside the secrets */
  readonly settings?: Record<string, string>;
}

export interface Edge extends Running {
  readonly url: string;
  readonly operatorToken: string;
}

/** Applies the migrations that the local database lacks. @throws Error that says what to do when one fails */
export async function migrate(stateDir: string): Promise<void> {
  try {
    await run(
      'wrangler',
      ['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', join(stateDir, 'd1')],
      QUIET,
    );
  } catch (error) {
    throw new Error(
      `The database in ${stateDir} cannot be brought up to date; it may be half-migrated. ` +
        `Remove the folder and start again (its demo data is made anew).\n\n${(error as Error).message}`,
    );
  }
}

/** Starts the edge and waits until it answers. */
export async function startEdge({ port, stateDir, settings = {} }: EdgeOptions): Promise<Edge> {
  const url = `http://localhost:${port}`;
  const secrets = localSecrets(stateDir);
  const vars = { PUBLIC_ORIGIN: url, ENVIRONMENT: 'development', ...settings };
  const process = await start(
    {
      command: 'wrangler',
      args: [
        'dev',
        ...['--port', String(port), '--ip', '127.0.0.1', '--inspector-port', '0'],
        ...['--persist-to', join(stateDir, 'd1'), '--env-file', secrets.file],
        ...['--show-interactive-dev-session', 'false', '--log-level', 'log'],
        ...Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
      ],
      env: QUIET,
      logFile: join(stateDir, 'edge.log'),
      readyWithinMs: 60_000,
    },
    (line) => (line.includes('Ready on') ? true : null),
  );
  return { ...process, url, operatorToken: secrets.operatorToken };
}

/** Secrets made once for this folder: another pepper would void every key in its database. */
function localSecrets(stateDir: string): { file: string; operatorToken: string } {
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
  return { file, operatorToken: parseEnv(readFileSync(file, 'utf8')).OPERATOR_TOKEN! };
}
