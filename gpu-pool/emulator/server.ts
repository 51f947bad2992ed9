/** SGLang's HTTP surface over the emulated engine, plus `/emulator/…` for scripted faults and answers. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chatCompletions, textCompletions } from './chat.ts';
import { createClock } from './clock.ts';
import { control } from './control.ts';
import { Engine, PRIORITIES_IGNORED } from './engine.ts';
import { FaultBoard } from './faults.ts';
import { readJson, send } from './http.ts';
import { type EngineLog, openEngineLog } from './log.ts';
import { flatError } from './openai-shape.ts';
import { CONTEXT_TOKENS, PROFILES } from './profiles.ts';
import { RECOMMENDED_RELEASE, traitsOf } from './release.ts';
import { RequestSeeds } from './request-seeds.ts';
import { ROUTES } from './routes.ts';
import { AnswerQueue } from './scripted-answers.ts';
import type { EmulatorOptions, EmulatorState, ReceivedRequest } from './state.ts';
import { TokenPrompts } from './token-prompts.ts';

export interface Emulator {
  url: string;
  port: number;
  engine: Engine;
  faults: FaultBoard;
  /** The last 50 chat completions as they arrived, messages included; for tests. */
  requests: ReadonlyArray<ReceivedRequest>;
  /** Drops all connections at once, as a killed process would. */
  close(): Promise<void>;
}

const REQUESTS_KEPT = 50;
/** uvicorn's default, which SGLang keeps: a client that reuses a connection then races with its closing. */
const KEEP_ALIVE_MS = 5_000;

/** Starts an emulator in this process. It listens on loopback unless `host` is given. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const log = openEngineLog(options.log);
  const state = createState(options, log);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (req, res) => {
    serve(state, req, res).catch((error: unknown) => fail(res, error));
  });
  // Node would add a second to the keep-alive timeout (since 24.6).
  Object.assign(server, { keepAliveTimeoutBuffer: 0 });
  await listen(server, options.port ?? 0, options.host ?? '127.0.0.1');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    port,
    engine: state.engine,
    faults: state.faults,
    requests: state.requests,
    async close() {
      state.engine.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      log.close();
    },
  };
}

function createState(options: EmulatorOptions, log: EngineLog): EmulatorState {
  const requests: ReceivedRequest[] = [];
  const answers = new AnswerQueue();
  const version = options.version ?? RECOMMENDED_RELEASE;
  const modelPath = options.modelPath ?? options.model?.repository ?? 'deepseek-ai/DeepSeek-R1-0528';
  const engine = new Engine({
    profile: { ...PROFILES[options.profile], ...options.override },
    clock: options.clock ?? createClock(options.speed ?? 0),
    log,
    queuedMax: options.maxQueuedRequests ?? Number.POSITIVE_INFINITY,
    priorities: { ...PRIORITIES_IGNORED, ...options.priorities },
    radixCache: !options.disableRadixCache,
    pageTokens: options.pageTokens,
  });
  return {
    options,
    requests,
    answers,
    engine,
    faults: new FaultBoard((faults) => (faults.has('frozen') ? engine.freeze() : engine.thaw())),
    seed: options.seed ?? 1,
    modelPath,
    thinking: options.model?.thinking ?? { mode: /v3/i.test(modelPath) ? 'never' : 'always' },
    weightVersion: options.weightVersion ?? 'default',
    cacheReport: options.cacheReport ?? false,
    reasoningParser: options.reasoningParser ?? null,
    toolCallParser: options.toolCallParser ?? null,
    version,
    traits: traitsOf(version),
    script: options.script ?? answers.script,
    prompts: new TokenPrompts(),
    keepsBudgets: options.strictThinking === 'with_variable',
    seeds: new RequestSeeds({ repeat: options.deterministicInference ?? false }),
    contextLength: options.contextLength ?? options.model?.contextLength ?? CONTEXT_TOKENS,
    record(entry) {
      requests.push(entry);
      if (requests.length > REQUESTS_KEPT) requests.shift();
    },
  };
}

const GENERATORS: Record<string, typeof chatCompletions> = {
  '/v1/chat/completions': chatCompletions,
  '/v1/completions': textCompletions,
};

async function serve(state: EmulatorState, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = new URL(req.url ?? '/', 'http://emulator').pathname;
  // The control routes stay reachable under every fault, and are not part of SGLang.
  if (path.startsWith('/emulator/')) return control(state, { path, req, res });
  const generate = GENERATORS[path];
  if (state.faults.has('refuse')) {
    if (generate) state.faults.spend('refuse');
    res.destroy();
    return;
  }
  // The check of keys comes before what adds headers for browsers. Both keep the connection.
  if (!authorized(state.options, req, path))
    return send(res, 401, { error: 'Unauthorized' }, { forBrowsers: false });
  const route = ROUTES[path];
  if (!generate && !route) return send(res, 404, { detail: 'Not Found' });
  const methods = generate ? ['POST'] : route!.methods;
  if (!methods.includes(req.method ?? '')) {
    return send(res, 405, { detail: 'Method Not Allowed' }, { headers: { allow: methods.join(', ') } });
  }
  if (generate) return generate(state, req, res);
  const { status, body, type } = await route!.handle(state, await readJson(req));
  send(res, status, body, { type });
}

/**
 * Follows `decide_request_auth` of SGLang's utils/auth.py: health and metrics are open, only aborts require the
 * admin key.
 */
function authorized({ apiKey, adminApiKey }: EmulatorOptions, req: IncomingMessage, path: string): boolean {
  if (path.startsWith('/health') || path.startsWith('/metrics')) return true;
  const key = path === '/abort_request' ? (adminApiKey ?? apiKey) : apiKey;
  return key === undefined || req.headers.authorization === `Bearer ${key}`;
}

function fail(res: ServerResponse, error: unknown): void {
  if (res.destroyed || res.headersSent) return void res.destroy();
  const message = `Internal server error: ${error instanceof Error ? error.message : String(error)}`;
  send(res, 500, flatError({ message, type: 'InternalServerError', code: 500 }));
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // A thousand clients may connect at once; the system's default backlog is 511.
    server.listen({ port, host, backlog: 4_096 }, resolve);
  });
}
