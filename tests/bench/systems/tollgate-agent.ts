/** Tollgate's edge with the real agent as its one node, in front of an engine that answers at once: the whole product. */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startAgentProcess } from '../../../gpu-pool/local/node.ts';
import type { StartedProcess } from '../../../gpu-pool/local/process.ts';
import { freePort } from '../port.ts';
import type { Upstream } from '../upstream.ts';
import { requestBody, workloadNamed } from '../workloads.ts';
import { writeAgentState } from './agent-state.ts';
import { CHAT_PATH } from './system.ts';
import { type Nodes, SMALL_WORLD, startTollgate, type Tollgate } from './tollgate.ts';

const READY_WITHIN_MS = 30_000;

export async function startTollgateWithAgent(
  dir: string,
  modules: readonly string[],
  upstream: Upstream,
): Promise<Tollgate> {
  const nodes = await agentNode(join(dir, 'agent'), upstream);
  const world = { ...SMALL_WORLD, nodes: 1 };
  const tollgate = await startTollgate({
    name: 'tollgate+agent',
    dir: join(dir, 'edge'),
    modules,
    world,
    upstream,
    nodes,
  });
  try {
    await ready(tollgate);
    return tollgate;
  } catch (error) {
    await tollgate.stop();
    throw error;
  }
}

async function agentNode(stateDir: string, upstream: Upstream): Promise<Nodes> {
  const port = await freePort();
  const pids: number[] = [];
  let agent: StartedProcess<string> | null = null;
  return {
    port,
    pids,
    begin: async (edgeUrl, [node]) => {
      writeAgentState(stateDir, node!, { edgeUrl, port });
      const engineUrl = `http://127.0.0.1:${upstream.enginePort}`;
      agent = await startAgentProcess({ engineUrl, edgeUrl, joinToken: null, port, stateDir });
      const { pid, signal } = agent;
      process.once('exit', () => signal('SIGKILL'));
      pids.push(pid);
    },
    end: async () => agent?.stop(0),
    // A request is posted in D1 when its receipt has arrived, which the system counts itself.
    pending: async () => 0,
    verify: async () => undefined,
  };
}

/** Waits for an answer: the edge sends requests once the agent's first heartbeat has come. */
async function ready(tollgate: Tollgate): Promise<void> {
  const deadlineMs = Date.now() + READY_WITHIN_MS;
  const body = requestBody(workloadNamed('small'));
  const headers = { authorization: `Bearer ${tollgate.keys[0]}`, 'content-type': 'application/json' };
  const url = `http://127.0.0.1:${tollgate.port}${CHAT_PATH}`;
  for (;;) {
    const response = await fetch(url, { method: 'POST', headers, body });
    const text = await response.text();
    if (response.ok) return tollgate.verify(1);
    if (Date.now() > deadlineMs) throw new Error(`tollgate+agent: ${response.status} ${text}`);
    await wait(200);
  }
}
