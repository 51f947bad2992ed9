/** The upstream of all systems, in its own process. */
import { startChild } from './child.ts';
import type { NodeIdentity } from './node-agents.ts';

export interface UpstreamStatus {
  /** Receipts that the edge has not acknowledged. */
  readonly pending: number;
  /** Heartbeats that failed. */
  readonly failures: number;
  /** Answers that were aborted, by any edge. */
  readonly aborts: number;
}

/** The nodes of one edge. */
export type Fleet = number;

export interface Upstream {
  readonly pid: number;
  readonly port: number;
  /** The port at which it is a SGLang engine. */
  readonly enginePort: number;
  /** Makes the upstream act as these nodes of that edge, too. */
  beginNodes(edgeUrl: string, nodes: readonly NodeIdentity[]): Promise<Fleet>;
  endNodes(fleet: Fleet): Promise<void>;
  status(fleet: Fleet): Promise<UpstreamStatus>;
  stop(): Promise<void>;
}

export async function startUpstream(): Promise<Upstream> {
  const child = startChild('./upstream-process.ts');
  const ports = await child.call<Pick<Upstream, 'port' | 'enginePort'>>('listen');
  return {
    pid: child.pid,
    ...ports,
    beginNodes: (edgeUrl, nodes) => child.call('beginNodes', { edgeUrl, nodes }),
    endNodes: (fleet) => child.call('endNodes', fleet),
    status: (fleet) => child.call('status', fleet),
    stop: () => child.stop(),
  };
}
