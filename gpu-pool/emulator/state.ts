/** Options and state of a running emulator. */
import type { ModelProfile } from '../protocol/model-profile.ts';
import type { Hardware } from '../protocol/schemas.ts';
import type { ChatContext } from './chat.ts';
import type { Clock } from './clock.ts';
import type { PriorityScheduling } from './engine.ts';
import type { Script } from './plan.ts';
import type { Profile } from './profiles.ts';

export interface EmulatorOptions {
  profile: Hardware;
  /** 0 (the default) picks a free port. */
  port?: number;
  host?: string;
  /** The model that it emulates; R1 by default. Options of their own say what the engine was started with. */
  model?: ModelProfile;
  /** `--model-path`: by default the model's. A path with V3 in it, without a `model`, never thinks. */
  modelPath?: string;
  weightVersion?: string;
  /** 1 is real time, 20 twenty times faster, 0 (the default) never waits. */
  speed?: number;
  seed?: number;
  /** File of the engine's log; without it nothing is logged. */
  log?: string;
  apiKey?: string;
  adminApiKey?: string;
  /** Requests that may wait; unlimited by default, as in SGLang. */
  maxQueuedRequests?: number;
  /** `--enable-cache-report`: without it no answer names cached tokens. */
  cacheReport?: boolean;
  /** `--reasoning-parser`: none by default, as in SGLang; an answer then begins with its reasoning. */
  reasoningParser?: string;
  /** `--tool-call-parser`: none by default, as in SGLang; calls of tools then stay in the text. */
  toolCallParser?: string;
  /** `--chat-template`: none by default, as in SGLang. It is only reported. */
  chatTemplate?: string;
  /** `--disable-radix-cache`: no prefix is ever reused. */
  disableRadixCache?: boolean;
  /** `--page-size`: tokens that are cached or not as one. */
  pageTokens?: number;
  /** `--enable-strict-thinking`, with or without SGLANG_MAX_THINK_TOKENS in the environment; off by default, as in SGLang. */
  strictThinking?: 'with_variable' | 'without_variable';
  /** `--enable-deterministic-inference`: a request’s seed repeats its answer; off by default, as in SGLang. */
  deterministicInference?: boolean;
  /** `--context-length`: tokens of prompt and answer together; by default as many as the model has. */
  contextLength?: number;
  /** `--enable-priority-scheduling` and its kin; priorities are ignored by default, as in SGLang. */
  priorities?: Partial<PriorityScheduling>;
  /** `--revision` of the weights. */
  revision?: string;
  /** The release that it claims to be, and whose behaviour it has; the recommended one by default. */
  version?: string;
  /** Replaces parts of the hardware profile, for tests. */
  override?: Partial<Profile>;
  clock?: Clock;
  /** Tokens of answers, in place of generated ones; for tests. */
  script?: Script;
}

export interface ReceivedRequest {
  rid: string;
  body: unknown;
}

/** The state of a running emulator that its routes use. */
export interface EmulatorState extends ChatContext {
  options: EmulatorOptions;
  requests: ReceivedRequest[];
  version: string;
}
