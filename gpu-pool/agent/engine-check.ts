/**
 * Inspects the engine before the node enrols, and again when the engine has come back: whether it is SGLang,
 * whether its arguments allow its answers to be sold, and whether others can reach it past this agent. SGLang's
 * port has had unauthenticated remote code execution and shows keys, so a node whose engine is exposed does not
 * enrol.
 */
import { networkInterfaces } from 'node:os';
import { callEngine, type Engine } from './engine-client.ts';
import type { Log } from './log.ts';
import { type EngineRequirements, findFaults } from './sglang/faults.ts';
import { canAbort, type EngineFacts, readEngine } from './sglang/probe.ts';
import { StartRefused } from './start-refused.ts';

const PROBE_TIMEOUT_MS = 1_000;

export function parseEngine(options: {
  engineUrl: string;
  engineKey?: string | undefined;
  engineAdminKey?: string | undefined;
}): Engine {
  const url = URL.parse(options.engineUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new StartRefused('bad_option', 'Invalid engine URL: pass it like --engine http://127.0.0.1:30000.');
  }
  for (const key of [options.engineKey, options.engineAdminKey]) {
    if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
      throw new StartRefused(
        'bad_option',
        'An engine key contains spaces or line breaks: correct ENGINE_API_KEY or ENGINE_ADMIN_API_KEY.',
      );
    }
  }
  return { url, key: options.engineKey, adminKey: options.engineAdminKey };
}

export interface EngineCheckOptions extends EngineRequirements {
  /** Skips the check that nothing but this agent reaches the engine. */
  allowExposed: boolean;
  /** This host's addresses other than loopback; default: those of its network interfaces. */
  addresses?: string[];
}

/** The result of an inspection: a sentence for each fault. `facts` is null where the engine did not report them. */
export interface Inspection {
  facts: EngineFacts | null;
  faults: string[];
}

/** An engine that is loading has not opened its port yet. */
const AWAIT_EVERY_MS = 2_000;
/** How often a waiting agent says what it waits for. */
const SAY_EVERY_MS = 60_000;

export interface Awaiting {
  /** Longest wait for an engine that does not answer. */
  waitMs: number;
  log: Log;
}

/** Checks the engine as `checkEngine` does, once it answers: one that starts first may load for hours. */
export async function awaitEngine(
  engine: Engine,
  options: EngineCheckOptions,
  { waitMs, log }: Awaiting,
): Promise<EngineFacts> {
  const startedMs = performance.now();
  let saidMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      return await checkEngine(engine, options);
    } catch (error) {
      const waitedMs = performance.now() - startedMs;
      const isDown = error instanceof StartRefused && error.code === 'engine_down';
      if (!isDown || waitedMs >= waitMs) throw error;
      if (waitedMs - saidMs >= SAY_EVERY_MS) {
        log('waiting_for_engine', { advice: `${error.message} The agent waits for it.` });
        saidMs = waitedMs;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(AWAIT_EVERY_MS, waitMs - waitedMs)));
    }
  }
}

/**
 * Checks the engine before a start. @throws StartRefused with all faults, each in a sentence that names what to
 * change; `engine_down` where nothing answers
 */
export async function checkEngine(engine: Engine, options: EngineCheckOptions): Promise<EngineFacts> {
  const { origin, hostname } = engine.url;
  if (!options.allowExposed && !isLoopback(hostname)) {
    throw new StartRefused(
      'engine_exposed',
      `The engine at ${origin} is not on loopback: start it with --host 127.0.0.1, or pass --allow-exposed-engine if its network is private.`,
    );
  }
  const inspection = await inspectEngine(engine, options);
  if (inspection === null) {
    throw new StartRefused(
      'engine_down',
      `No engine responds at ${origin}: start SGLang first, or correct --engine.`,
    );
  }
  const { facts, faults } = inspection;
  if (facts !== null && faults.length === 0) return facts;
  const message =
    faults.length === 1
      ? (faults[0] ?? '')
      : [`The engine at ${origin} has ${faults.length} problems:`, ...faults].join('\n- ');
  throw new StartRefused(facts === null ? 'engine_unreachable' : 'engine_unfit', message);
}

/** Inspects a running engine. Null where nothing answers in time, which says nothing about what the engine is. */
export async function inspectEngine(engine: Engine, options: EngineCheckOptions): Promise<Inspection | null> {
  const facts = await readEngine(engine);
  if ('failure' in facts) return null;
  if ('status' in facts) return { facts: null, faults: [unreadable(engine.url.origin, facts)] };
  const { allowExposed, addresses = outsideAddresses() } = options;
  const [abortAllowed, exposedHost] = await Promise.all([
    canAbort(engine),
    allowExposed ? null : findExposure(engine, addresses),
  ]);
  const faults = findFaults(facts, options);
  if (abortAllowed === false) {
    faults.push(
      'The engine rejects aborts from this agent: pass its --admin-api-key as ENGINE_ADMIN_API_KEY.',
    );
  }
  if (exposedHost !== null) {
    faults.push(
      `The engine can be reached at ${exposedHost} without this agent: start it with --host 127.0.0.1, or pass --allow-exposed-engine if that network is private.`,
    );
  }
  return { facts, faults };
}

function unreadable(origin: string, { path, status }: { path: string; status: number }): string {
  return status === 401 || status === 403
    ? `The engine at ${origin} requires its API key: pass it as ENGINE_API_KEY.`
    : `The server at ${origin} is not an SGLang engine (${path} returned ${status}): correct --engine.`;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/**
 * The host:port of an address of this host, other than loopback, on which the engine answers; null where there is
 * none.
 */
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
