/** The upstream's process: it answers at once, as OpenAI's API or as the agents of Tollgate's nodes. */
import type { AddressInfo } from 'node:net';
import { ABORT_PATH, GENERATE_PATH } from '../../gpu-pool/protocol/schemas.ts';
import { NO_CONTENT, NOT_FOUND, nodeAnswers, openAiAnswers } from './answers.ts';
import { answerCalls } from './child.ts';
import { rawServer } from './http-server.ts';
import { NodeAgents, type NodeIdentity } from './node-agents.ts';
import { answerMs, type Workload, workloadIn } from './workloads.ts';

let agents: NodeAgents | null = null;
let aborts = 0;

const server = rawServer(({ path, head, body }, answer) => {
  switch (path) {
    case '/v1/chat/completions': {
      const { name, paceMs } = workloadIn(body);
      return answer(openAiAnswers.get(name)!, paceMs);
    }
    case GENERATE_PATH: {
      const workload = workloadIn(body);
      answer(nodeAnswers.get(workload.name)!, workload.paceMs);
      return afterAnswer(workload, head, agents);
    }
    case ABORT_PATH:
      aborts += 1;
      return answer(NO_CONTENT);
    default:
      return answer(NOT_FOUND);
  }
});

/** Records the receipt of an answer when its last event has been written. */
function afterAnswer(workload: Workload, head: string, nodes: NodeAgents | null): void {
  if (workload.paceMs === null) nodes?.answered(head, workload);
  else setTimeout(() => nodes?.answered(head, workload), answerMs(workload));
}

answerCalls({
  listen: (port: number) =>
    new Promise<number>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    }),
  beginNodes: async ({ edgeUrl, nodes }: { edgeUrl: string; nodes: NodeIdentity[] }) => {
    agents?.end();
    agents = new NodeAgents(edgeUrl, nodes);
    await agents.begin();
  },
  endNodes: () => {
    agents?.end();
    agents = null;
  },
  status: () => ({ aborts, ...(agents?.status() ?? { pending: 0, failures: 0 }) }),
});
