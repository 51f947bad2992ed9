/** LiteLLM's proxy, in Python, as one process without a database: it checks a key and counts, and bills nobody. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../port.ts';
import { MODEL, type Workload } from '../../workloads.ts';
import type { Missing, System } from '../system.ts';
import type { PeerFolders } from './folders.ts';
import { startPeer } from './peer.ts';
import { pythonPackage } from './python.ts';

const KEY = 'sk-bench';
/** It passes on some hundred events a second: longer answers and more streams would take the run's time for minutes. */
const EVENTS_MAX = 200;
const STREAMS_MAX = 16;

export async function startLiteLlm({ cacheDir, dir, upstreamPort }: PeerFolders): Promise<System | Missing> {
  const bin = await pythonPackage(cacheDir, 'litellm[proxy]==1.108.7');
  if (typeof bin !== 'string') return bin;
  const folder = join(dir, 'litellm');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.yaml'), configuration(upstreamPort));
  const port = await freePort();
  return startPeer({
    ...{ name: 'litellm', dir: folder, port, key: KEY, command: join(bin, 'litellm'), fits },
    args: [
      ...['--config', 'config.yaml', '--host', '127.0.0.1', '--port', String(port)],
      ...['--num_workers', '1', '--telemetry', 'False'],
    ],
    env: {
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      LITELLM_MODE: 'PRODUCTION',
      LITELLM_LOG: 'ERROR',
      DISABLE_ADMIN_UI: 'True',
      // The bench's answers repeat one token, which it takes for a model that hangs.
      REPEATED_STREAMING_CHUNK_LIMIT: '1000000',
    },
  });
}

function fits({ stream, tokens }: Workload, connections: number): boolean {
  return !stream || (tokens <= EVENTS_MAX && connections <= STREAMS_MAX);
}

function configuration(upstreamPort: number): string {
  return `model_list:
  - model_name: ${MODEL}
    litellm_params:
      model: openai/${MODEL}
      api_base: http://127.0.0.1:${upstreamPort}/v1
      api_key: x
general_settings:
  master_key: ${KEY}
litellm_settings:
  telemetry: false
`;
}
