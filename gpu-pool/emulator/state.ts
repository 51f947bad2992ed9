/** Options and state of a running emulator, as its routes see them. */
import type { Hardware } from '../protocol/schemas.ts';
import type { ChatContext } from './chat.ts';
import type { Clock } from './clock.ts';
import type { Profile } from './profiles.ts';

export interface EmulatorOptions {
  profile: Hardware;
  /** 0 (the default) picks a free port */
  port?: number;
  host?: string;
  modelPath?: string;
  weightVersion?: string;
  /** 1 is real time, 20 twenty times faster, 0 (the default) never waits */
  speed?: number;
  seed?: number;
  /** file of the engine's log; without it nothing is logged */
  log?: string;
  apiKey?: string;
  adminApiKey?: string;
  /** waiting requests, unlimited by default as in SGLang */
  maxQueuedRequests?: number;
  /** `--enable-cache-report`: without it no answer names cached tokens */
  cacheReport?: boolean;
  /** `--reasoning-parser`: none by default as in SGLang, and an answer then begins with its reasoning */
  reasoningParser?: string;
  /** `--disable-radix-cache`: no prefix is ever used again */
  disableRadixCache?: boolean;
  /** `--revision` of the weights */
  revision?: string;
  /** the release it claims to be */
  version?: string;
  /** replaces parts of the hardware profile, for tests */
  override?: Partial<Profile>;
  clock?: Clock;
}

export interface ReceivedRequest {
  rid: string;
  body: unknown;
}

/** What routes see of a running emulator. */
export interface EmulatorState extends ChatContext {
  options: EmulatorOptions;
  requests: ReceivedRequest[];
}
