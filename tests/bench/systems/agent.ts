/**
 * The real agent of a node, alone: in front of an engine that answers at once, behind an edge that only sends requests and
 * acknowledges receipts. Requests are as an edge sends them, each with an id of its own.
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { startAgentProcess } from '../../../gpu-pool/local/node.ts';
import {
  type Budget,
  CLAIMS_HEADER,
  GENERATE_PATH,
  type GenerateRequest,
  type RequestClaims,
} from '../../../gpu-pool/protocol/schemas.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { UNIQUE } from '../load.ts';
import { freePort } from '../port.ts';
import { answerFormat } from '../ready-answers.ts';
import type { Upstream } from '../upstream.ts';
import { MODEL, messagesOf, tokensMax, type Workload } from '../workloads.ts';
import { startAgentEdge } from './agent-edge.ts';
import { writeAgentState } from './agent-state.ts';
import { FORWARDS_ONLY, type System } from './system.ts';

/** An edge of another revision may start its agents otherwise. */
export type StartAgent = typeof startAgentProcess;

interface AgentOrder {
  readonly name: 'agent' | 'agent-before';
  /** A folder for its state. */
  readonly dir: string;
  readonly upstream: Upstream;
  readonly start?: StartAgent;
}

export async function startAgentAlone({
  name,
  dir,
  upstream,
  start = startAgentProcess,
}: AgentOrder): Promise<System> {
  const edge = await startAgentEdge();
  const { privateKey } = generateKeyPairSync('ed25519');
  const node = {
    id: newId('node', Date.now()),
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
  const stateDir = join(dir, name);
  const port = await freePort();
  writeAgentState(stateDir, node, { edgeUrl: edge.url, port });
  const process_ = await start({
    engineUrl: `http://127.0.0.1:${upstream.enginePort}`,
    edgeUrl: edge.url,
    joinToken: null,
    port,
    stateDir,
  });
  process.once('exit', () => process_.signal('SIGKILL'));
  let answered = 0;
  return {
    ...FORWARDS_ONLY,
    name,
    port,
    pids: [process_.pid],
    path: GENERATE_PATH,
    body: generateBody,
    headers: { [CLAIMS_HEADER]: JSON.stringify(CLAIMS) },
    // Read for each measurement, so that no run outlives its token.
    get keys() {
      return [edge.token(node.id)];
    },
    pending: async (requests) => Math.max(0, answered + requests - edge.receipts),
    verify: async (requests) => {
      answered += requests;
    },
    stop: async () => {
      await process_.stop(0);
      edge.stop();
    },
  };
}

/** So much that no answer waits for more. An agent that knows neither answers with chunks. */
const BUDGET: Budget = {
  held_nano_usd: 1_000_000_000_000,
  price: { cache_hit: 140, cache_miss: 550, output: 2_190 },
};

const CLAIMS: RequestClaims = { sub: 'acct_bench', jti: `req_${UNIQUE}`, model: MODEL, max_tokens: 8_000 };

function generateBody(workload: Workload): string {
  const body: GenerateRequest = {
    messages: messagesOf(workload),
    max_tokens: tokensMax(workload),
    cache_salt: '0123456789abcdef0123456789abcdef',
    answer: answerFormat(workload),
    budget: BUDGET,
  };
  return JSON.stringify(body);
}
