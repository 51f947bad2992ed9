/**
 * Looks at the engine before the node enrols: is it SGLang, and can others reach it past this agent?
 * SGLang's port has had unauthenticated remote code execution and its admin routes show keys, so a node whose
 * engine is exposed does not enrol.
 */
import { networkInterfaces } from 'node:os';
import { callEngine, type Engine } from './engine-client.ts';
import { type EngineInfo, readEngineInfo } from './sglang/probe.ts';
import { StartRefused } from './start-refused.ts';

const PROBE_TIMEOUT_MS = 1_000;

export function parseEngine(options: {
  engineUrl: string;
  engineKey?: string | undefined;
  engineAdminKey?: string | undefined;
}): Engine {
  const url = URL.parse(options.engineUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new StartRefused(
      'bad_option',
      'Pass the address of the engine as --engine http://127.0.0.1:30000.',
    );
  }
  for (const key of [options.engineKey, options.engineAdminKey]) {
    if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
      throw new StartRefused(
        'bad_option',
        'An engine key has spaces or line breaks in it: correct ENGINE_API_KEY or ENGINE_ADMIN_API_KEY.',
      );
    }
  }
  return { url, key: options.engineKey, adminKey: options.engineAdminKey };
}

/** `addresses` are this host's own, other than loopback. */
export async function checkEngine(
  engine: Engine,
  { allowExposed, addresses = outsideAddresses() }: { allowExposed: boolean; addresses?: string[] },
): Promise<EngineInfo> {
  const { origin, hostname } = engine.url;
  if (!allowExposed && !isLoopback(hostname)) {
    throw new StartRefused(
      'engine_exposed',
      `The engine at ${origin} is not on loopback: start it with --host 127.0.0.1, or pass --allow-exposed-engine if its network is private.`,
    );
  }
  const info = await readEngineInfo(engine);
  if ('failure' in info) {
    throw new StartRefused(
      'engine_unreachable',
      `No engine answers at ${origin}: start SGLang first, or correct --engine.`,
    );
  }
  if ('status' in info) {
    throw new StartRefused(
      'engine_unreachable',
      info.status === 401 || info.status === 403
        ? `The engine at ${origin} wants its API key: pass it as ENGINE_API_KEY.`
        : `What answers at ${origin} is no SGLang engine (/model_info gives ${info.status}): correct --engine.`,
    );
  }
  const exposed = allowExposed ? null : await findExposure(engine, addresses);
  if (exposed !== null) {
    throw new StartRefused(
      'engine_exposed',
      `The engine can be reached at ${exposed}, past this agent: start it with --host 127.0.0.1, or pass --allow-exposed-engine if that network is private.`,
    );
  }
  return info;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** An address of this host, other than loopback, on which the engine answers; null where there is none. */
async function findExposure(engine: Engine, addresses: string[]): Promise<string | null> {
  const answers = await Promise.all(
    addresses.map(async (address) => {
      const url = new URL(engine.url);
      url.hostname = address;
      const answer = await callEngine(
        { url },
        { method: 'GET', path: '/model_info', timeoutMs: PROBE_TIMEOUT_MS },
      );
      return 'failure' in answer ? null : url.host;
    }),
  );
  return answers.find((host) => host !== null) ?? null;
}

function outsideAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ family, address }) => (family === 'IPv6' ? `[${address}]` : address));
}
