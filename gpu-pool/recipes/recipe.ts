/** The input of a recipe: one host of one node. */
import type { ModelProfile } from '../protocol/model-profile.ts';
import type { Hardware } from '../protocol/schemas.ts';
import type { EngineKeys } from './keys.ts';

export const FORMATS = ['shell', 'compose', 'systemd'] as const;
export type Format = (typeof FORMATS)[number];

/** Rank 0 is the node; rank 1 only runs the engine's other half. */
export const RANKS = [0, 1] as const;
export type Rank = (typeof RANKS)[number];

export interface Recipe {
  /** The model's id, or where only its profile is known the repository of its weights. */
  model: string;
  profile: ModelProfile;
  /** The most tokens of a prompt and its answer together; undefined: as many as the weights allow. */
  contextLength: number | undefined;
  hardware: Hardware;
  rank: Rank;
  /** Image of the engine, e.g. `lmsysorg/sglang:v0.5.20`. */
  image: string;
  /** `host:port` of rank 0 on the network between the two hosts. */
  distInitAddr: string;
  /** Commit of the model's repository; absent: the profile's, or else the newest. */
  revision?: string | undefined;
  keys: EngineKeys;
  joinToken?: string | undefined;
  /** Absent: the edge that the join token names. */
  edgeUrl?: string | undefined;
  /** Where the edge reaches the agent. */
  publicUrl?: string | undefined;
  /** Directory on the host for weights and compiled kernels. */
  cacheDir: string;
  /** Directory on the host with a checkout of Tollgate after `npm ci`. */
  checkoutDir: string;
}

export const ENGINE_PORT = 30_000;
export const AGENT_PORT = 8_700;
/** Port of the agent's /metrics, to which the tunnel does not lead. */
export const AGENT_METRICS_PORT = 8_701;
/** Port of cloudflared's own /ready. */
export const TUNNEL_METRICS_PORT = 20_241;
