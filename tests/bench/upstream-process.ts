/** The upstream's process: it answers at once, as OpenAI's API, as the agents of Tollgate's nodes or as their engines. */
import type { AddressInfo, Server } from 'node:net';
import { ABORT_PATH, EXTEND_PATH, GENERATE_PATH } from '../../gpu-pool/protocol/schemas.ts';
import { json, NO_CONTENT, nodeAnswers, openAiAnswers } from './answers.ts';
import { answerCalls } from './child.ts';
import { engineAnswer } from './engine-answers.ts';
import { rawServer } from './http-server.ts';
import { NodeAgents, type NodeIdentity } from './node-agents.ts';
import { asksReady, readyAnswer } from './ready-answers.ts';
import { answerMs, type Workload, workloadIn } from './workloads.ts';

/** The nodes of every edge that was begun; those that have ended keep their place. */
const fleets: NodeAgents[] = [];
let aborts = 0;

const server = rawServer(({ path, head, body }, answer) => {
  switch (path) {
    case '/v1/chat/completions': {
      const { name, paceMs } = workloadIn(body);
      return answer(openAiAnswers.get(name)!, paceMs);
    }
    case GENERATE_PATH: {
      const workload = workloadIn(body);
      const writes = asksReady(body) ? readyAnswer(workload) : nodeAnswers.get(workload.name)!;
      answer(writes, workload.paceMs);
      return afterAnswer(workload, head);
    }
    case EXTEND_PATH:
      // Its answers cost whatever they cost.
      return answer(json(200, JSON.parse(body.toString())));
    case ABORT_PATH:
      aborts += 1;
      return answer(NO_CONTENT);
    default:
      // SMG asks its workers what they are.
      return answer(engineAnswer(path, () => workloadIn(body)).writes);
  }
});

/** Records the receipt of an answer when its last event has been written. */
function afterAnswer(workload: Workload, head: string): void {
  const record = () => fleets.find((each) => each.has(head))!.answered(head, workload);
  if (workload.paceMs === null) record();
  else setTimeout(record, answerMs(workload));
}

/** The engine behind real agents. */
const engine = rawServer(({ path, body }, answer) => {
  const { writes, paceMs } = engineAnswer(path, () => workloadIn(body));
  answer(writes, paceMs);
});

function listening(on: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    on.once('error', reject);
    on.listen(0, '127.0.0.1', () => resolve((on.address() as AddressInfo).port));
  });
}

answerCalls({
  listen: async () => ({ port: await listening(server), enginePort: await listening(engine) }),
  beginNodes: async ({ edgeUrl, nodes }: { edgeUrl: string; nodes: NodeIdentity[] }) => {
    const agents = new NodeAgents(edgeUrl, nodes);
    fleets.push(agents);
    await agents.begin();
    return fleets.indexOf(agents);
  },
  endNodes: (fleet: number) => fleets[fleet]!.end(),
  status: (fleet: number) => ({ aborts, ...fleets[fleet]!.status() }),
});
