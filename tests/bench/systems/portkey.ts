/** Portkey's gateway, the fastest of the common ones by its own account. It only routes: it meters and bills nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { run } from '../../../gpu-pool/local/process.ts';
import { freePort } from '../port.ts';
import type { Upstream } from '../upstream.ts';
import { FORWARDS_ONLY, type System } from './system.ts';

export const PORTKEY = '@portkey-ai/gateway@1.15.2';
const READY_WITHIN_MS = 30_000;

/** Installs exactly this version once, without running package scripts. @param cacheDir a folder that is kept between runs */
export async function startPortkey(cacheDir: string, upstream: Upstream): Promise<System> {
  const script = join(cacheDir, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (!existsSync(script)) {
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
    await run('npm', ['install', '--prefix', cacheDir, ...quiet, PORTKEY]);
  }
  const port = await freePort();
  const preload = new URL('./portkey-preload.ts', import.meta.url).href;
  const args = ['--import', preload, script, `--port=${port}`, '--headless'];
  const child = spawn(process.execPath, args, {
    stdio: 'ignore',
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  await ready(child, port);
  return {
    ...FORWARDS_ONLY,
    name: 'portkey',
    port,
    pids: [child.pid!],
    headers: {
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstream.port}/v1`,
    },
    stop: async () => {
      process.off('exit', kill);
      const exited = new Promise((resolve) => child.once('exit', resolve));
      kill();
      await exited;
    },
  };
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  const deadlineMs = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadlineMs && child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    if (answer) return;
    await wait(100);
  }
  child.kill('SIGKILL');
  throw new Error(`${PORTKEY} does not answer on port ${port}`);
}
