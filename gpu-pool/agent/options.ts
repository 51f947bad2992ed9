/** Settings of an agent, given by its command line and by tests. */
import type { Deadlines } from './generate-context.ts';
import type { Log } from './log.ts';

export interface AgentOptions {
  /** Origin of the engine, on loopback. */
  engineUrl: string;
  engineKey?: string | undefined;
  engineAdminKey?: string | undefined;
  /** Longest wait for an engine that does not answer yet; default: no limit. */
  engineWaitMs?: number | undefined;
  /** Skips the check that nothing but this agent reaches the engine (for a private container network). */
  allowExposedEngine?: boolean;
  /** A version of SGLang to accept although it looks too old or like no version. */
  acceptEngineVersion?: string | undefined;
  /** Commit of the weights that the engine has to serve; default: any. */
  revision?: string | undefined;
  /** Needed once; not needed when `stateDir` holds an enrolled node. */
  joinToken?: string | undefined;
  /** Default: the join token's `edge` claim. */
  edgeUrl?: string | undefined;
  /** host:port; port 0 takes a free one. */
  listen?: string | undefined;
  /** host:port of /metrics, which only the operator should reach; port 0 takes a free one. */
  metricsListen?: string | undefined;
  /** Where the edge reaches this agent; default: its own address. */
  publicUrl?: string | undefined;
  stateDir: string;
  deadlines?: Partial<Deadlines>;
  heartbeatIntervalMs?: number;
  /** Size above which the journal is rewritten. */
  journalCompactAtBytes?: number;
  /** Where this host's processes are described; default: /proc. */
  processRoot?: string;
  now?: () => number;
  random?: () => number;
  log?: Log;
}
