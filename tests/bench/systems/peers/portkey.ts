/** Portkey's gateway, the fastest of the common ones by its own account. It only routes: it meters and bills nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../../gpu-pool/local/process.ts';
import { freePort } from '../../port.ts';
import type { System } from '../system.ts';
import type { PeerFolders } from './folders.ts';
import { startPeer } from './peer.ts';

const PORTKEY = '@portkey-ai/gateway@1.15.2';

/** Installs exactly this version once, without running package scripts. */
export async function startPortkey({ cacheDir, dir, upstreamPort }: PeerFolders): Promise<System> {
  const prefix = join(cacheDir, 'portkey');
  const script = join(prefix, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (!existsSync(script)) {
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
    await run('npm', ['install', '--prefix', prefix, ...quiet, PORTKEY]);
  }
  const port = await freePort();
  const preload = new URL('./portkey-preload.ts', import.meta.url).href;
  return startPeer({
    ...{ name: 'portkey', dir: join(dir, 'portkey'), port, command: process.execPath },
    args: ['--import', preload, script, `--port=${port}`, '--headless'],
    env: { NODE_ENV: 'production' },
    headers: {
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
    },
  });
}
