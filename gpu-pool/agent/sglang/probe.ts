/** The engine's own description: which model it serves and how it was started. */
import * as z from 'zod';
import { type Heartbeat, VERSION_UNKNOWN } from '../../protocol/schemas.ts';
import { callEngine, type Engine, type EngineFailure } from '../engine-client.ts';
import type { StepLimits } from '../engine-pulse.ts';
import { ABORT_PATH } from './request.ts';

export type EngineInfo = Omit<Heartbeat['engine'], 'healthy' | 'deterministic'>;

const INFO_TIMEOUT_MS = 5_000;
/**
 * A rid that no request has, for a trial abort: no request id contains a blank.
 */
export const UNUSED_RID = 'nobody (may this agent abort?)';

const ModelInfo = z.object({
  model_path: z.string().min(1).max(512),
  weight_version: z.string().max(128).nullish(),
});

/** Arguments that decide whether the engine can be sold, under their names in SGLang's server_args.py. */
const Settings = z.object({
  reasoning_parser: z.string().max(128).nullable().catch(null),
  /** A file, or the name of a template that SGLang has built in; null: the one of the model's repository. */
  chat_template: z.string().max(512).nullable().catch(null),
  enable_cache_report: z.boolean().catch(false),
  disable_radix_cache: z.boolean().catch(false),
  /** The limit of each data-parallel rank: every scheduler takes the whole number for itself (scheduler.py). */
  max_queued_requests: z.int().positive().nullable().catch(null),
  revision: z.string().max(128).nullable().catch(null),
  /** The most tokens of a prompt and its answer together; null: as many as the model has by itself. */
  context_length: z.int().positive().nullable().catch(null),
  enable_priority_scheduling: z.boolean().catch(false),
  disable_priority_preemption: z.boolean().catch(false),
  /** By how much a priority must be exceeded for a running request to make room. */
  priority_scheduling_preemption_threshold: z.int().catch(10),
  schedule_low_priority_values_first: z.boolean().catch(false),
  tool_call_parser: z.string().max(128).nullable().catch(null),
  log_requests: z.boolean().catch(false),
  /** A folder for the requests before a crash; prompts are in them. */
  crash_dump_folder: z.string().nullable().catch(null),
  enable_lmcache: z.boolean().catch(false),
  /** Where the cache is kept beyond this host. */
  hicache_storage_backend: z.string().nullable().catch(null),
  enable_custom_logit_processor: z.boolean().catch(false),
  /** Budgets of thoughts are kept, if the environment has SGLANG_MAX_THINK_TOKENS too, which the engine does not show. */
  enable_strict_thinking: z.boolean().catch(false),
  /** Without it, a request's seed is ignored. */
  enable_deterministic_inference: z.boolean().catch(false),
  /** One more than the longest prompt that the scheduler takes, by its context and by its KV cache (tp_worker.py). */
  max_req_input_len: z.int().positive().nullable().catch(null),
  /** Tokens of the KV cache of a rank. */
  max_total_num_tokens: z.int().positive().nullable().catch(null),
  /** Tokens of a prefill step; -1: a step takes whole prompts. */
  chunked_prefill_size: z.int().nullable().catch(null),
  /** Seconds that a step may take before the engine ends itself. */
  watchdog_timeout: z.number().positive().nullable().catch(null),
});
export type EngineSettings = z.infer<typeof Settings>;
export const SETTING_NAMES = Object.keys(Settings.shape) as readonly (keyof EngineSettings)[];

/** SGLang's default of `--watchdog-timeout`. */
const WATCHDOG_SECONDS = 300;
/** Tokens that the scheduler keeps back beside the longest prompt (tp_worker.py, `max_req_input_len`). */
const KEPT_BACK_TOKENS = 6;

/** The tokens that the engine has for a prompt and its answer together; null: not known. */
export function roomTokens({ context_length, max_req_input_len }: EngineSettings): number | null {
  const byScheduler = max_req_input_len === null ? null : max_req_input_len + KEPT_BACK_TOKENS;
  if (context_length === null || byScheduler === null) return context_length ?? byScheduler;
  return Math.min(context_length, byScheduler);
}

/** How long a prefill step can be. */
export function stepLimits(settings: EngineSettings): StepLimits {
  const { chunked_prefill_size: chunk, watchdog_timeout: seconds } = settings;
  const isChunked = chunk !== null && chunk > 0;
  return {
    tokensMax: isChunked ? chunk : (roomTokens(settings) ?? Number.POSITIVE_INFINITY),
    msMax: (seconds ?? WATCHDOG_SECONDS) * 1_000,
  };
}

/** /server_info also holds the engine's keys (sglang#37457): only these fields leave this file. */
const ServerInfo = Settings.extend({ version: z.string().min(1).max(128).catch(VERSION_UNKNOWN) });

export interface EngineFacts {
  info: EngineInfo;
  settings: EngineSettings;
}

/**
 * Reads /model_info (older: /get_model_info) and /server_info; else returns which of them gave no usable answer.
 */
export async function readEngine(
  engine: Engine,
): Promise<EngineFacts | EngineFailure | { path: string; status: number }> {
  const get = (path: string) => callEngine(engine, { method: 'GET', path, timeoutMs: INFO_TIMEOUT_MS });
  let model = await get('/model_info');
  if (!('failure' in model) && model.status === 404) model = await get('/get_model_info');
  if ('failure' in model) return model;
  const served = ModelInfo.safeParse(model.body);
  if (model.status !== 200 || !served.success) return { path: '/model_info', status: model.status };
  const server = await get('/server_info');
  if ('failure' in server) return server;
  const started = ServerInfo.safeParse(server.body);
  if (server.status !== 200 || !started.success) return { path: '/server_info', status: server.status };
  const { version, ...settings } = started.data;
  const { model_path, weight_version } = served.data;
  return { info: { version, model_path, weight_version: weight_version ?? 'default' }, settings };
}

/**
 * Whether the engine accepts aborts from this agent. With an admin key it accepts them only with that key, and its
 * other routes do not show that (utils/auth.py). Null where it does not answer.
 */
export async function canAbort(engine: Engine): Promise<boolean | null> {
  const answer = await callEngine(engine, {
    method: 'POST',
    path: ABORT_PATH,
    body: { rid: UNUSED_RID },
    admin: true,
    timeoutMs: INFO_TIMEOUT_MS,
  });
  return 'failure' in answer ? null : answer.status !== 401 && answer.status !== 403;
}
