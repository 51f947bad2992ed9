/** Canary requests decide which nodes serve customers: real agents before emulated engines, some of which report falsely. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readEngineLog } from '../../gpu-pool/emulator/log.ts';
import { type Engine, startEngine } from '../../gpu-pool/local/node.ts';
import { parseListening, type StartedProcess, start } from '../../gpu-pool/local/process.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import { parseCanaryId } from '../../worker/domain/canary.ts';
import { api, chatBody, eventually, type Local, startLocal } from './local.ts';
import { freePorts } from './ports.ts';
import { readLedgers } from './stored-state.ts';
import { startTamperingProxy, type TamperingProxy } from './tampering-proxy.ts';

const AGENT = fileURLToPath(new URL('../../gpu-pool/agent/main.ts', import.meta.url));

let local: Local;
const cleanups: (() => unknown)[] = [];
beforeAll(async () => {
  local = await startLocal();
});
afterAll(async () => {
  for (const end of cleanups.toReversed()) await end();
  await local.end();
});

interface ListedNode {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly canary: {
    readonly at_ms: number;
    readonly fault: string | null;
    readonly passed_at_ms: number | null;
  } | null;
}

async function listedNode(name: string): Promise<ListedNode | undefined> {
  const { nodes } = await operatorApi<{ nodes: ListedNode[] }>(local.stack.edge, 'GET', '/nodes');
  return nodes.find((node) => node.name === name);
}

/** Enrols another node. @param tamper changes lines from the engine to the agent, or from the agent to the edge */
async function addNode(
  name: string,
  tamper: { engine?: (line: string) => string; agent?: (line: string) => string } = {},
): Promise<{ engine: Engine; agent: StartedProcess<string> }> {
  const stateDir = join(local.stateDir, name);
  const { token } = await operatorApi<{ token: string }>(local.stack.edge, 'POST', '/join-tokens', {
    ...{ name, model: 'deepseek-r1-0528', hardware: '8xmi300x' },
  });
  const engine = await startEngine({ name, hardware: '8xmi300x', stateDir, speed: local.speed });
  cleanups.push(() => engine.stop());
  const between = async (target: string, change: ((line: string) => string) | undefined) => {
    if (!change) return target;
    const proxy: TamperingProxy = await startTamperingProxy(target, change);
    cleanups.push(() => proxy.close());
    return proxy.url;
  };
  const port = await freePorts(1);
  const args = ['--engine', await between(engine.ready, tamper.engine), '--state', stateDir];
  const url = await between(`http://127.0.0.1:${port}`, tamper.agent);
  const agent = await start(
    {
      command: process.execPath,
      args: [AGENT, ...args, '--edge', local.stack.edge.url, '--listen', `127.0.0.1:${port}`, '--url', url],
      env: { TOLLGATE_JOIN_TOKEN: token },
      logFile: join(stateDir, 'agent.log'),
      readyWithinMs: 30_000,
    },
    parseListening,
  );
  cleanups.push(() => agent.stop());
  return { engine, agent };
}

/** Sends requests. @returns the ids of the nodes that served them */
async function servedBy(requests: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < requests; i++) {
    const body = chatBody(`What is ${i} and ${Math.random()}? [[reasoning=1 answer=2]]`);
    const answer = await api(local, '/v1/chat/completions', { method: 'POST', body });
    expect(answer.status).toBe(200);
    const { id } = (await answer.json()) as { id: string };
    const generation = await (await api(local, `/v1/generations/${id}`)).json();
    ids.push((generation as { node_id: string }).node_id);
  }
  return ids;
}

it('nodes are active when each has passed its canary, which no account is charged for', async () => {
  for (const { name, engine } of local.stack.nodes) {
    expect(await listedNode(name)).toMatchObject({
      state: 'active',
      canary: { fault: null, passed_at_ms: expect.any(Number) },
    });
    const requestIds = [...readEngineLog(engine.log).keys()];
    expect(requestIds).toHaveLength(4);
    expect(requestIds.every((id) => parseCanaryId(id) !== null)).toBe(true);
  }
  const { accounts, d1 } = readLedgers(local.stateDir);
  expect([d1.usage_event, d1.node_receipt]).toEqual([[], []]);
  expect(accounts.flatMap(({ request = [], receipt = [] }) => [...request, ...receipt])).toEqual([]);
});

it('a node that joins later serves customers when it has passed its canary', async () => {
  await addNode('mi300x-late');
  const node = await eventually(async () => {
    const found = await listedNode('mi300x-late');
    return found?.state === 'active' && found;
  });
  await eventually(async () => (await servedBy(4)).includes(node.id), 60_000);
});

it.each<[string, string, Parameters<typeof addNode>[1]]>([
  [
    'whose engine reports no cached tokens',
    'nothing_cached',
    { engine: (line) => line.replace(/"cached_tokens":\d+/g, '"cached_tokens":0') },
  ],
  [
    'whose answers count more than its receipts',
    'receipt_differs',
    {
      agent: (line) =>
        line.replace(/("prompt_tokens":)(\d+)/, (_, name, count) => name + (Number(count) + 1)),
    },
  ],
])('a node %s never serves customers', async (_, fault, tamper) => {
  const { engine } = await addNode(fault, tamper);
  const { id } = await eventually(async () => {
    const found = await listedNode(fault);
    return found?.canary?.fault === fault && found;
  });
  expect(await servedBy(20)).not.toContain(id);
  expect((await listedNode(fault))?.state).toBe('canary');
  const requestIds = [...readEngineLog(engine.log).keys()];
  expect(requestIds.filter((each) => parseCanaryId(each) === null)).toEqual([]);
  expect(requestIds.length).toBeGreaterThanOrEqual(2);
});
