/** Two real engines behind two real agents and the real edge, with an account that has free credit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEngine } from '../../../gpu-pool/agent/engine-check.ts';
import { bundle, type Edge, migrate, startEdge } from '../../../gpu-pool/local/edge.ts';
import { R1 } from '../../../gpu-pool/local/local-nodes.ts';
import { startAgentProcess } from '../../../gpu-pool/local/node.ts';
import { obtainKey, PortalSession } from '../../../gpu-pool/local/portal-session.ts';
import { type StartedProcess, stopAll } from '../../../gpu-pool/local/process.ts';
import { operatorApi } from '../../../gpu-pool/local/stack.ts';
import { HARDWARE } from '../../../gpu-pool/protocol/schemas.ts';
import { JournalKeeper } from '../../e2e/journals.ts';
import { freePorts } from '../../e2e/ports.ts';
import { DirectEngine } from '../conformance/direct-engine.ts';
import { keysOf, MODEL_PATH } from '../folder.ts';
import { QUICK_SETTINGS } from '../quick-settings.ts';
import { targetOf } from '../recording/keys.ts';
import { type EngineChoice, EngineProcess } from './engine-process.ts';

export interface PairNode {
  readonly id: string;
  readonly name: string;
  readonly engine: EngineProcess;
  /** A client of its engine. */
  readonly direct: DirectEngine;
  agent: StartedProcess<string>;
  /** Starts the agent again with its journal, after it has ended. */
  restartAgent(): Promise<void>;
}

export interface Pair {
  readonly edge: Edge;
  readonly stateDir: string;
  readonly nodes: readonly [PairNode, PairNode];
  readonly journals: JournalKeeper;
  readonly apiKey: string;
  readonly accountId: string;
  stop(): Promise<void>;
}

const NAMES = ['first', 'second'] as const;
/** The canary asks for about two thousand tokens, which two engines on a busy CPU generate in minutes. */
const CANARY_MS_MAX = 900_000;

/** Starts everything, and waits until both nodes have passed their canary. @throws Error that says what did not start */
export async function startPair(choice: EngineChoice, onStep: (step: string) => void): Promise<Pair> {
  const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-faults-'));
  const port = await freePorts(1 + 2 * NAMES.length);
  const engines = NAMES.map(
    (name, i) => new EngineProcess(choice, { port: port + 1 + i, logFile: join(stateDir, `${name}.log`) }),
  );
  const end = async () => {
    // Engines first: what ends all others gives an engine too little time to end its scheduler.
    await Promise.all(engines.map((engine) => engine.stop()));
    await stopAll();
    rmSync(stateDir, { recursive: true, force: true });
  };
  try {
    onStep('Starting the engines');
    // One after the other: both at once compile and load for longer.
    for (const engine of engines) await engine.start();
    onStep('Starting the edge');
    await migrate(stateDir);
    const script = await bundle(stateDir);
    const edge = await startEdge({ port, stateDir, script, settings: QUICK_SETTINGS });
    onStep('Enrolling the nodes');
    const enrolled: PairNode[] = [];
    for (const [i, name] of NAMES.entries()) {
      const agentPort = port + 1 + NAMES.length + i;
      enrolled.push(
        await enrol({ edge, engine: engines[i]!, name, stateDir, folder: choice.folder, agentPort }),
      );
    }
    const nodes: [PairNode, PairNode] = [enrolled[0]!, enrolled[1]!];
    onStep('Waiting for the canaries');
    await canariesPassed(edge);
    const journals = new JournalKeeper(stateDir, nodes);
    const session = new PortalSession(edge.url);
    await session.signInOrSignUp({
      email: 'faults@tollgate.example',
      password: 'the account of two engines',
      name: 'Faults',
    });
    const apiKey = await obtainKey(session);
    const accountId = await accountOf(edge, apiKey);
    const stop = async () => {
      journals.close();
      await Promise.all(nodes.map(({ agent }) => agent.stop()));
      await end();
    };
    return { edge, stateDir, nodes, journals, apiKey, accountId, stop };
  } catch (error) {
    await end();
    throw error;
  }
}

async function enrol(options: {
  edge: Edge;
  engine: EngineProcess;
  name: string;
  stateDir: string;
  folder: string;
  agentPort: number;
}): Promise<PairNode> {
  const { edge, engine, name, stateDir, folder, agentPort } = options;
  const { keys } = targetOf(engine.url, keysOf(folder));
  const order = { name, model: R1, hardware: HARDWARE[0] };
  const { token } = await operatorApi<{ token: string }>(edge, 'POST', '/join-tokens', order);
  const startAgent = (joinToken: string | null) =>
    startAgentProcess({
      ...{ engineUrl: engine.url, edgeUrl: edge.url, engineKeys: keys, joinToken, port: agentPort },
      stateDir: join(stateDir, name),
    });
  const agent = await startAgent(token);
  const target = parseEngine({ engineUrl: engine.url, engineKey: keys.user, engineAdminKey: keys.admin });
  const { nodes } = await operatorApi<{ nodes: { id: string; url: string }[] }>(edge, 'GET', '/nodes');
  const node: PairNode = {
    id: nodes.find(({ url }) => url === agent.ready)!.id,
    name,
    engine,
    direct: new DirectEngine(target, { model: MODEL_PATH, longTokens: 0 }),
    agent,
    async restartAgent() {
      node.agent = await startAgent(null);
    },
  };
  return node;
}

interface RegisteredNode {
  readonly state: string;
  readonly canary: { readonly fault: string | null } | null;
}

async function canariesPassed(edge: Edge): Promise<void> {
  for (const endMs = Date.now() + CANARY_MS_MAX; ; await sleep(500)) {
    const { nodes } = await operatorApi<{ nodes: RegisteredNode[] }>(edge, 'GET', '/nodes');
    if (nodes.every(({ state }) => state === 'active')) return;
    if (Date.now() < endMs) continue;
    const faults = nodes.map(({ canary }) => canary?.fault ?? 'no answer in time');
    throw new Error(`The nodes did not pass their canaries: ${faults.join(', ')}.`);
  }
}

async function accountOf(edge: Edge, apiKey: string): Promise<string> {
  const response = await fetch(`${edge.url}/v1/key`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { account_id } = (await response.json()) as { account_id: string };
  return account_id;
}
