/** The upstream of all systems, in its own process. */
import { startChild } from './child.ts';
import type { NodeIdentity } from './node-agents.ts';

export interface UpstreamStatus {
  /** Receipts that the edge has not acknowledged. */
  readonly pending: number;
  /** Heartbeats that failed. */
  readonly failures: number;
  /** Answers that the edge aborted. */
  readonly aborts: number;
}

export interface Upstream {
  readonly pid: number;
  readonly port: number;
  /** Makes the upstream act as these nodes of that edge, too. */
  beginNodes(edgeUrl: string, nodes: readonly NodeIdentity[]): Promise<void>;
  endNodes(): Promise<void>;
  status(): Promise<UpstreamStatus>;
  stop(): Promise<void>;
}

export async function startUpstream(): Promise<Upstream> {
  const child = startChild('./upstream-process.ts');
  const port = await child.call<number>('listen', 0);
  return {
    pid: child.pid,
    port,
    beginNodes: (edgeUrl, nodes) => child.call('beginNodes', { edgeUrl, nodes }),
    endNodes: () => child.call('endNodes'),
    status: () => child.call('status'),
    stop: () => child.stop(),
  };
}
