/** Settings of an agent, as its command line and tests give them. */
import type { Deadlines } from './generate-context.ts';
import type { Log } from './log.ts';

export interface AgentOptions {
  /** origin of the engine, on loopback */
  engineUrl: string;
  engineKey?: string | undefined;
  engineAdminKey?: string | undefined;
  /** skips the check that nobody else reaches the engine (a private container network) */
  allowExposedEngine?: boolean;
  /** a version of SGLang to take although it looks too old or like none */
  acceptEngineVersion?: string | undefined;
  /** commit of the weights that the engine has to serve; any, where not given */
  revision?: string | undefined;
  /** once; not needed when `stateDir` knows the node */
  joinToken?: string | undefined;
  /** else the join token's `edge` claim */
  edgeUrl?: string | undefined;
  /** host:port; port 0 takes a free one */
  listen?: string | undefined;
  /** host:port of /metrics, which is nobody's but the operator's; port 0 takes a free one */
  metricsListen?: string | undefined;
  /** where the edge reaches this agent; else its own address */
  publicUrl?: string | undefined;
  stateDir: string;
  deadlines?: Partial<Deadlines>;
  heartbeatIntervalMs?: number;
  /** size past which the journal is rewritten */
  journalCompactAtBytes?: number;
  now?: () => number;
  random?: () => number;
  log?: Log;
}
