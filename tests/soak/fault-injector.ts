/** Applies planned faults to real processes and undoes them. Faults of one target happen one after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalNode, Stack } from '../../gpu-pool/local/stack.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import type { EnrolledNode } from '../e2e/stored-state.ts';
import type { Outage } from '../e2e/tail-tokens.ts';
import type { PlannedFault } from './fault-plan.ts';
import { retryFor } from './retry.ts';

export interface FaultInjectorOptions {
  readonly stack: Stack;
  /** The enrolled nodes in the order of `stack.nodes`. */
  readonly nodes: readonly EnrolledNode[];
  /** Revokes the next of the keys that are meant for it. */
  readonly revoke: () => Promise<void>;
}

export class FaultInjector {
  /** How many times each fault was applied, by its name. */
  readonly injected = new Map<string, number>();
  /** The periods in which processes were stopped. */
  readonly outages: Outage[] = [];
  readonly #options: FaultInjectorOptions;
  /** The end of the last fault of each target. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(options: FaultInjectorOptions) {
    this.#options = options;
  }

  /** Starts a fault. It never throws: `recover` rejects when a fault could not be undone. */
  inject(fault: PlannedFault): void {
    const name = fault.kind === 'engine' ? fault.fault : fault.kind;
    const target =
      fault.kind === 'kill_edge' ? 'edge' : fault.kind === 'revoke' ? 'keys' : `node ${fault.node}`;
    const before = this.#last.get(target) ?? Promise.resolve();
    const after = before.then(() => {
      this.injected.set(name, (this.injected.get(name) ?? 0) + 1);
      return this.#apply(fault);
    });
    // its rejection is reported by `recover`; unhandled, it would end the process before
    after.catch(() => undefined);
    this.#last.set(target, after);
  }

  /** Waits until all faults have ended, and removes what they may have left behind. */
  async recover(): Promise<void> {
    await Promise.all(this.#last.values());
    const { stack, nodes } = this.#options;
    await Promise.all(stack.nodes.map((node) => clearEngine(node)));
    for (const { id } of nodes) await this.#setNodeState(id, 'restore');
  }

  async #apply(fault: PlannedFault): Promise<void> {
    const { stack, nodes, revoke } = this.#options;
    const node = stack.nodes[fault.node]!;
    switch (fault.kind) {
      case 'kill_edge':
        stack.edge.signal('SIGKILL');
        await stack.edge.exited;
        await sleep(fault.downMs);
        return retryFor(() => stack.restartEdge());
      case 'kill_agent':
        await kill(node, 'agent');
        await sleep(fault.downMs);
        return retryFor(() => node.restartAgent());
      case 'kill_engine':
        await kill(node, 'engine');
        await sleep(fault.downMs);
        return retryFor(() => node.restartEngine());
      case 'kill_node':
        await Promise.all([kill(node, 'agent'), kill(node, 'engine')]);
        await sleep(fault.downMs);
        await retryFor(() => node.restartEngine());
        return retryFor(() => node.restartAgent());
      case 'hang_engine':
        return this.#hang(node, 'engine', fault.forMs);
      case 'hang_agent':
        return this.#hang(node, 'agent', fault.forMs);
      case 'drain':
        await this.#setNodeState(nodes[fault.node]!.id, 'drain');
        await sleep(fault.forMs);
        return this.#setNodeState(nodes[fault.node]!.id, 'restore');
      case 'revoke':
        return retryFor(revoke);
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

  async #setNodeState(nodeId: string, verb: 'drain' | 'restore'): Promise<void> {
    const { stack } = this.#options;
    await retryFor(() => operatorApi(stack.edge, 'POST', `/nodes/${nodeId}/${verb}`));
  }
}

async function kill(node: LocalNode, part: 'engine' | 'agent'): Promise<void> {
  node[part].signal('SIGKILL');
  await node[part].exited;
}

function clearEngine(node: LocalNode): Promise<void> {
  return retryFor(() => controlEngine(node, 'DELETE'));
}

async function controlEngine(node: LocalNode, method: 'POST' | 'DELETE', fault?: object): Promise<void> {
  const response = await fetch(`${node.engine.ready}/emulator/faults`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: fault && JSON.stringify(fault),
  });
  if (!response.ok)
    throw new Error(`the engine of ${node.name} rejected the fault: ${await response.text()}`);
}
