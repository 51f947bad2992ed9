/**
 * one-api, in Go: keys, quotas and bills, in SQLite. Built from its Go module, without its web pages, which the module does
 * not hold; it writes what was used every five seconds, the faster of its two ways.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../../gpu-pool/local/process.ts';
import { freePort } from '../../port.ts';
import { MODEL } from '../../workloads.ts';
import type { Missing, System } from '../system.ts';
import type { PeerFolders } from './folders.ts';
import { startPeer } from './peer.ts';

const MODULE = 'github.com/songquanpeng/one-api@v0.6.10';
/** The vocabularies that it downloads at its start, as a module. */
const VOCABULARIES = 'github.com/pkoukk/tiktoken-go-loader@v0.0.2';
const VOCABULARY_URL = 'https://openaipublic.blob.core.windows.net/encodings/';
/** The themes that its main package embeds. */
const THEMES = ['default', 'berry', 'air'];
const TOKEN = 'bench'.repeat(10).slice(0, 48);
const ACCESS_TOKEN = 'bench-root-access';

export async function startOneApi({ cacheDir, dir, upstreamPort }: PeerFolders): Promise<System | Missing> {
  const installed = join(cacheDir, 'one-api-0.6.10');
  const command = await built(installed);
  if (typeof command !== 'string') return command;
  const port = await freePort();
  const folder = join(dir, 'one-api');
  return startPeer({
    ...{ name: 'one-api', dir: folder, port, key: `sk-${TOKEN}`, command },
    args: ['--port', String(port), '--log-dir', join(folder, 'logs')],
    env: {
      SQLITE_PATH: join(folder, 'one-api.db'),
      INITIAL_ROOT_TOKEN: TOKEN,
      INITIAL_ROOT_ACCESS_TOKEN: ACCESS_TOKEN,
      TIKTOKEN_CACHE_DIR: join(installed, 'vocabularies'),
      GIN_MODE: 'release',
      MEMORY_CACHE_ENABLED: 'true',
      // It learns of its upstream when it next reads its tables.
      SYNC_FREQUENCY: '10',
      BATCH_UPDATE_ENABLED: 'true',
      BATCH_UPDATE_INTERVAL: '5',
      GLOBAL_API_RATE_LIMIT: '1000000',
      GLOBAL_WEB_RATE_LIMIT: '1000000',
    },
    prepare: () => configure(port, upstreamPort),
  });
}

/** Its prices, and its way to the upstream. */
async function configure(port: number, upstreamPort: number): Promise<void> {
  const call = async (method: string, path: string, body: object) => {
    const headers = { authorization: ACCESS_TOKEN, 'content-type': 'application/json' };
    const url = `http://127.0.0.1:${port}${path}`;
    const response = await fetch(url, { method, headers, body: JSON.stringify(body) });
    const { success, message } = (await response.json()) as { success: boolean; message: string };
    if (!success) throw new Error(`${path}: ${message}`);
  };
  await call('PUT', '/api/option/', { key: 'ModelRatio', value: JSON.stringify({ [MODEL]: 0.275 }) });
  await call('PUT', '/api/option/', { key: 'CompletionRatio', value: JSON.stringify({ [MODEL]: 4 }) });
  await call('POST', '/api/channel/', {
    ...{ type: 1, name: 'bench', key: 'x', models: MODEL, group: 'default', status: 1 },
    base_url: `http://127.0.0.1:${upstreamPort}`,
  });
}

/** Builds it once. @returns the path of its executable */
async function built(folder: string): Promise<string | Missing> {
  const executable = join(folder, 'one-api');
  if (existsSync(executable)) return executable;
  const source = join(folder, 'source');
  try {
    cpSync(await downloaded(MODULE), source, { recursive: true });
    // Go keeps modules read-only.
    await run('chmod', ['-R', 'u+w', source]);
    for (const theme of THEMES) {
      mkdirSync(join(source, 'web/build', theme), { recursive: true });
      writeFileSync(join(source, 'web/build', theme, 'index.html'), '<!doctype html>');
    }
    await keepVocabularies(join(folder, 'vocabularies'));
    await run('go', ['-C', source, 'build', '-o', executable, '.']);
    return executable;
  } catch (error) {
    return { missing: `go cannot build ${MODULE}: ${(error as Error).message.trim().slice(-300)}` };
  }
}

/** Copies them under the names that its tokenizer gives to what it has downloaded. */
async function keepVocabularies(folder: string): Promise<void> {
  const assets = join(await downloaded(VOCABULARIES), 'assets');
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(assets).filter((name) => name.endsWith('.tiktoken'))) {
    const name = createHash('sha1').update(`${VOCABULARY_URL}${file}`).digest('hex');
    cpSync(join(assets, file), join(folder, name));
  }
}

/** @returns the module's folder */
async function downloaded(module: string): Promise<string> {
  const answer = await run('go', ['mod', 'download', '-json', module]);
  return (JSON.parse(answer) as { Dir: string }).Dir;
}
