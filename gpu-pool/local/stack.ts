/** A whole Tollgate on this machine: edge, enrolled nodes, a demo account with credit, an operator. */
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { bundle, databaseIn, type Edge, migrate, startEdge } from './edge.ts';
import { type NodePlan, R1_NODES } from './local-nodes.ts';
import { type Engine, startAgentProcess, startEngine } from './node.ts';
import { type Credentials, obtainKey, PortalSession } from './portal-session.ts';
import { type StartedProcess, stopAll } from './process.ts';

export interface StackOptions {
  readonly stateDir: string;
  /** The edge's port. */
  readonly port: number;
  /** The first agent takes this port, the others the ones after it. */
  readonly nodePort: number;
  /** Speed of the engines: 1 is real time, 0 never waits. */
  readonly speed: number;
  /** A bundled Worker; default: it is bundled now. */
  readonly script?: string;
  /**
   * An empty, fully migrated database for a `stateDir` without one; default: the database in `stateDir` is
   * migrated.
   */
  readonly database?: string;
  /** Settings of worker/env.ts. */
  readonly settings?: Record<string, string>;
  /** Called with the description of each step before it begins. */
  readonly onStep?: (step: string) => void;
  /** Default: three nodes of R1. */
  readonly plan?: readonly NodePlan[];
  /** Feeds the status page with requests that no customer sent. */
  readonly probes?: boolean;
}

export interface LocalNode extends NodePlan {
  readonly port: number;
  readonly stateDir: string;
  engine: Engine;
  agent: StartedProcess<string>;
  /** Starts the process again at the same address, after it was ended. */
  restartEngine(): Promise<void>;
  restartAgent(): Promise<void>;
}

/** The contents of `.tollgate/dev.json`. */
export interface DevFile {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly account: string;
  readonly portal: Credentials;
  readonly operator: Credentials;
  readonly nodes: readonly { id: string; url: string }[];
}

export interface Stack {
  edge: Edge;
  readonly nodes: readonly LocalNode[];
  readonly dev: DevFile;
  /** Starts the edge again with the same state, after it was ended. */
  restartEdge(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts everything. @throws Error whose message says what to do: a port in use, a database that cannot be migrated
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { stateDir, port, nodePort, plan = R1_NODES, onStep = () => undefined } = options;
  try {
    await assertPortFree(port, 'TOLLGATE_PORT');
    for (let i = 0; i < plan.length; i++) await assertPortFree(nodePort + i, 'TOLLGATE_NODE_PORT');
    onStep('Migrating the local database');
    if (options.database) cpSync(options.database, databaseIn(stateDir), { recursive: true });
    else await migrate(stateDir);
    onStep('Bundling the Worker');
    const script = options.script ?? (await bundle(stateDir));
    onStep('Starting the edge');
    const { settings, probes } = options;
    const edgeOptions = { port, stateDir, script, settings, probes };
    const edge = await startEdge(edgeOptions);
    onStep(`Starting ${plan.length} nodes and enrolling them`);
    const nodes = await Promise.all(
      plan.map((node, i) =>
        startNode(edge, { ...node, port: nodePort + i, stateDir: join(stateDir, node.name) }, options.speed),
      ),
    );
    onStep('Creating the demo account');
    const dev = await setUpDemo(edge, nodes, stateDir);
    onStep('Waiting for each node’s canary test');
    await waitForCanaries(edge, dev);
    const stack: Stack = {
      edge,
      nodes,
      dev,
      async restartEdge() {
        stack.edge = await startEdge(edgeOptions);
      },
      async stop() {
        // Agents stop first, because they still have receipts for the edge.
        await Promise.all(nodes.map(({ agent }) => agent.stop()));
        await Promise.all(nodes.map(({ engine }) => engine.stop()));
        await stack.edge.stop();
      },
    };
    return stack;
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** Starts a node's two processes; enrols it unless its state folder shows that it is enrolled. */
async function startNode(
  edge: Edge,
  node: NodePlan & Pick<LocalNode, 'port' | 'stateDir'>,
  speed: number,
): Promise<LocalNode> {
  const { name, hardware, model, stateDir } = node;
  const joinToken = existsSync(join(stateDir, 'node.json'))
    ? null
    : await createJoinToken(edge, { name, hardware, model });
  const engine = await startEngine({ name, hardware, model, stateDir, speed });
  const engineUrl = new URL(engine.ready);
  const startAgent = (token: string | null) =>
    startAgentProcess({ ...node, engineUrl: engine.ready, edgeUrl: edge.url, joinToken: token });
  const local: LocalNode = {
    ...node,
    engine,
    agent: await startAgent(joinToken),
    async restartEngine() {
      local.engine = await startEngine({
        name,
        hardware,
        model,
        stateDir,
        speed,
        port: Number(engineUrl.port),
      });
    },
    async restartAgent() {
      local.agent = await startAgent(null);
    },
  };
  return local;
}

async function createJoinToken(
  edge: Pick<Edge, 'url' | 'operatorToken'>,
  { name, hardware, model }: NodePlan,
): Promise<string> {
  const { token } = await operatorApi<{ token: string }>(edge, 'POST', '/join-tokens', {
    name,
    model,
    hardware,
  });
  return token;
}

/** Calls the operator API, again after the time that it states when its rate limit is reached. @throws Error with its answer when it refuses */
export async function operatorApi<T>(
  edge: Pick<Edge, 'url' | 'operatorToken'>,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<T> {
  const pending = fetch(`${edge.url}/operator/api${path}`, {
    method,
    headers: { authorization: `Bearer ${edge.operatorToken}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const response = await pending.catch(() => {
    throw new Error(`No edge responds at ${edge.url}. Start it, or correct the URL.`);
  });
  if (response.status === 429) {
    await setTimeout(1_000 * Number(response.headers.get('retry-after')));
    return operatorApi(edge, method, path, body);
  }
  if (!response.ok)
    throw new Error(`${method} ${path} failed with status ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** Real time: an engine at the speed of its hardware generates its two canary answers in twenty seconds. */
const CANARY_MS_MAX = 90_000;
const POLL_INTERVAL_MS = 250;

interface RegisteredNode {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly state: string;
  readonly canary: { readonly fault: string | null } | null;
}

/**
 * Waits until all nodes have passed their canary, before which they get no customers. @throws Error that says which
 * node did not pass, and why
 */
async function waitForCanaries(edge: Edge, { nodes }: DevFile): Promise<void> {
  const ids = new Set(nodes.map(({ id }) => id));
  for (const endMs = Date.now() + CANARY_MS_MAX; ; await setTimeout(POLL_INTERVAL_MS)) {
    const registered = await operatorApi<{ nodes: RegisteredNode[] }>(edge, 'GET', '/nodes');
    const waiting = registered.nodes.filter(({ id, state }) => ids.has(id) && state === 'canary');
    if (waiting.length === 0) return;
    if (Date.now() < endMs) continue;
    const reasons = waiting.map(({ name, canary }) => `${name} (${canary?.fault ?? 'no answer yet'})`);
    throw new Error(
      `These nodes did not pass their canary test within ${CANARY_MS_MAX / 1_000} s: ${reasons.join(', ')}. ` +
        'Check agent.log and engine.log in the folder of each.',
    );
  }
}

async function setUpDemo(edge: Edge, nodes: readonly LocalNode[], stateDir: string): Promise<DevFile> {
  const file = join(stateDir, 'dev.json');
  const saved = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DevFile) : null;
  const portal = saved?.portal ?? {
    email: 'demo@tollgate.example',
    password: randomBytes(9).toString('base64url'),
  };
  const operator = saved?.operator ?? {
    email: 'operator@tollgate.example',
    password: randomBytes(9).toString('base64url'),
  };

  const apiKey = await demoKey(edge, portal, saved?.apiKey ?? null);
  const { account_id: account } = await readOwnKey(edge.url, apiKey);
  await new PortalSession(edge.url).signInOrSignUp({ ...operator, name: 'Operator' });
  await operatorApi(edge, 'POST', '/operators', { email: operator.email });

  const registered = await operatorApi<{ nodes: RegisteredNode[] }>(edge, 'GET', '/nodes');
  const urls = new Set(nodes.map(({ agent }) => agent.ready));
  const dev: DevFile = {
    baseUrl: edge.url,
    apiKey,
    account,
    portal,
    operator,
    nodes: registered.nodes
      .filter(({ url, state }) => urls.has(url) && state !== 'removed')
      .map(({ id, url }) => ({ id, url })),
  };
  writeFileSync(file, `${JSON.stringify(dev, null, 2)}\n`, { mode: 0o600 });
  return dev;
}

async function demoKey(edge: Edge, credentials: Credentials, savedKey: string | null): Promise<string> {
  if (savedKey !== null && (await readOwnKey(edge.url, savedKey).catch(() => null))) return savedKey;
  const session = new PortalSession(edge.url);
  await session.signInOrSignUp({ ...credentials, name: 'Demo Startup' });
  return obtainKey(session);
}

async function readOwnKey(edgeUrl: string, apiKey: string): Promise<{ account_id: string }> {
  const response = await fetch(`${edgeUrl}/v1/key`, { headers: { authorization: `Bearer ${apiKey}` } });
  if (!response.ok) throw new Error(`The key is not valid at ${edgeUrl}.`);
  return (await response.json()) as { account_id: string };
}

async function assertPortFree(port: number, setting: string): Promise<void> {
  const free = await new Promise<boolean>((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
  if (!free) {
    throw new Error(
      `Port ${port} is in use. Stop the process that uses it, or choose another port with ${setting}=…`,
    );
  }
}
