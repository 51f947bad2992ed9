/** Makes a planned fault happen to real processes, and undoes it. Faults of one process follow one another. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalNode, Stack } from '../../gpu-pool/local/stack.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import type { BookNode } from '../e2e/books.ts';
import type { Outage } from '../e2e/tails.ts';
import type { PlannedFault } from './fault-plan.ts';
import { insist } from './insist.ts';

export interface StrikerOptions {
  readonly stack: Stack;
  /** in the order of the stack's */
  readonly nodes: readonly BookNode[];
  /** revokes the next key that is there to be revoked */
  readonly revoke: () => Promise<void>;
}

export class Striker {
  /** how often each fault struck, by its name */
  readonly struck = new Map<string, number>();
  /** when which process of which node stood still */
  readonly outages: Outage[] = [];
  readonly #options: StrikerOptions;
  /** the last fault of each target */
  readonly #last = new Map<string, Promise<void>>();

  constructor(options: StrikerOptions) {
    this.#options = options;
  }

  /** @throws never: what goes wrong on the way is in the promise of `calm` */
  strike(fault: PlannedFault): void {
    const name = fault.kind === 'engine' ? fault.fault : fault.kind;
    const target =
      fault.kind === 'kill_edge' ? 'edge' : fault.kind === 'revoke' ? 'keys' : `node ${fault.node}`;
    const before = this.#last.get(target) ?? Promise.resolve();
    const after = before.then(() => {
      this.struck.set(name, (this.struck.get(name) ?? 0) + 1);
      return this.#happen(fault);
    });
    // a fault that could not be undone must not end the process before `calm` says so
    after.catch(() => undefined);
    this.#last.set(target, after);
  }

  /** Waits for the faults that were begun, and ends what may have stayed behind of any. */
  async calm(): Promise<void> {
    await Promise.all(this.#last.values());
    const { stack, nodes } = this.#options;
    await Promise.all(stack.nodes.map((node) => clearEngine(node)));
    for (const { id } of nodes) await this.#tellPool(id, 'restore');
  }

  async #happen(fault: PlannedFault): Promise<void> {
    const { stack, nodes, revoke } = this.#options;
    const node = stack.nodes[fault.node]!;
    switch (fault.kind) {
      case 'kill_edge':
        stack.edge.signal('SIGKILL');
        await stack.edge.exited;
        await sleep(fault.downMs);
        return insist(() => stack.restartEdge());
      case 'kill_agent':
        await kill(node, 'agent');
        await sleep(fault.downMs);
        return insist(() => node.restartAgent());
      case 'kill_engine':
        await kill(node, 'engine');
        await sleep(fault.downMs);
        return insist(() => node.restartEngine());
      case 'kill_node':
        await Promise.all([kill(node, 'agent'), kill(node, 'engine')]);
        await sleep(fault.downMs);
        await insist(() => node.restartEngine());
        return insist(() => node.restartAgent());
      case 'hang_engine':
        return this.#hang(node, 'engine', fault.forMs);
      case 'hang_agent':
        return this.#hang(node, 'agent', fault.forMs);
      case 'drain':
        await this.#tellPool(nodes[fault.node]!.id, 'drain');
        await sleep(fault.forMs);
        return this.#tellPool(nodes[fault.node]!.id, 'restore');
      case 'revoke':
        return insist(revoke);
      case 'engine':
        await controlEngine(node, 'POST', { kind: fault.fault, times: fault.times });
        await sleep(fault.forMs);
        return clearEngine(node);
    }
  }

  async #hang(node: LocalNode, part: 'engine' | 'agent', forMs: number): Promise<void> {
    const fromMs = Date.now();
    node[part].signal('SIGSTOP');
    await sleep(forMs);
    node[part].signal('SIGCONT');
    this.outages.push({ nodeName: node.name, part, fromMs, toMs: Date.now() });
  }

  async #tellPool(nodeId: string, verb: 'drain' | 'restore'): Promise<void> {
    const { stack } = this.#options;
    await insist(() => operatorApi(stack.edge, 'POST', `/nodes/${nodeId}/${verb}`));
  }
}

async function kill(node: LocalNode, part: 'engine' | 'agent'): Promise<void> {
  node[part].signal('SIGKILL');
  await node[part].exited;
}

function clearEngine(node: LocalNode): Promise<void> {
  return insist(() => controlEngine(node, 'DELETE'));
}

async function controlEngine(node: LocalNode, method: 'POST' | 'DELETE', fault?: object): Promise<void> {
  const response = await fetch(`${node.engine.ready}/emulator/faults`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: fault && JSON.stringify(fault),
  });
  if (!response.ok) throw new Error(`the engine of ${node.name} took no order: ${await response.text()}`);
}
