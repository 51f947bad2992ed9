/** Shepherd Model Gateway, in Rust: checks a key and routes by prefix. It meters and bills nothing. */
import { join } from 'node:path';
import { freePort } from '../../port.ts';
import type { Missing, System } from '../system.ts';
import type { PeerFolders } from './folders.ts';
import { startPeer } from './peer.ts';
import { pythonPackage } from './python.ts';

const KEY = 'sk-bench';

export async function startSmg({ cacheDir, dir, upstreamPort }: PeerFolders): Promise<System | Missing> {
  const bin = await pythonPackage(cacheDir, 'smg==1.13.0');
  if (typeof bin !== 'string') return bin;
  const [port, metricsPort] = [await freePort(), await freePort()];
  return startPeer({
    ...{ name: 'smg', dir: join(dir, 'smg'), port, key: KEY, command: join(bin, 'smg') },
    args: [
      ...['launch', '--host', '127.0.0.1', '--port', String(port)],
      ...['--worker-urls', `http://127.0.0.1:${upstreamPort}`, '--policy', 'cache_aware'],
      ...['--prometheus-host', '127.0.0.1', '--prometheus-port', String(metricsPort)],
      ...['--log-level', 'warn', '--api-key', KEY],
    ],
  });
}
