/** SGLang's routes other than completions, by path. */
import { inputTokensMax, promptTokens } from './context.ts';
import { PRIORITIES_IGNORED } from './engine.ts';
import { renderMetrics } from './metrics.ts';
import { flatError } from './openai-shape.ts';
import { hash32 } from './random.ts';
import { parseChatRequest, parseTextRequest } from './request.ts';
import type { EmulatorState } from './state.ts';

export interface RouteAnswer {
  status: number;
  /** A string goes out as it is, an object as JSON. */
  body: object | string;
  type?: string;
}

export interface Route {
  methods: readonly string[];
  handle(state: EmulatorState, body: unknown): RouteAnswer | Promise<RouteAnswer>;
}

/** Entries of DeepSeek's vocabulary. */
const VOCABULARY = 129_280;

const get = (handle: Route['handle']): Route => ({ methods: ['GET'], handle });
const ok = (body: object | string): RouteAnswer => ({ status: 200, body });

export const ROUTES: Record<string, Route | undefined> = {
  '/health': get(health),
  '/health_generate': get(health),
  '/model_info': get(modelInfo),
  '/get_model_info': get(modelInfo),
  '/server_info': get(serverInfo),
  '/v1/loads': get(loads),
  '/v1/models': get(models),
  '/metrics': get(({ engine, modelPath }) => ({
    ...ok(renderMetrics(engine, modelPath)),
    type: 'text/plain; version=0.0.4; charset=utf-8',
  })),
  '/tokenize': { methods: ['POST'], handle: tokenizeRoute },
  '/v1/tokenize': { methods: ['POST'], handle: tokenizeRoute },
  '/abort_request': { methods: ['POST'], handle: abortRequest },
};

/** How long a health check waits for the scheduler (http_server.py, `HEALTH_CHECK_TIMEOUT`). */
const HEALTH_SECONDS_MAX = 20;

/**
 * Answers without a body once the scheduler has sent something: looked for every second, the first time after one
 * (http_server.py, `health_generate`). An engine that is starting or ending says so at once.
 */
async function health({ engine, faults, options }: EmulatorState): Promise<RouteAnswer> {
  if (faults.spend('unhealthy')) return { status: 503, body: '' };
  const askedAtMs = Date.now();
  // An engine that never waits does not wait here either.
  const second = options.speed ? 1_000 / options.speed : 0;
  for (let waited = 0; waited < HEALTH_SECONDS_MAX; waited += 1) {
    await new Promise((resolve) => setTimeout(resolve, second));
    if (engine.hasAnsweredSince(askedAtMs)) return { status: 200, body: '' };
  }
  return { status: 503, body: '' };
}

function modelInfo({ modelPath, weightVersion }: EmulatorState): RouteAnswer {
  return ok({
    model_path: modelPath,
    tokenizer_path: modelPath,
    is_generation: true,
    preferred_sampling_params: null,
    weight_version: weightVersion,
    has_image_understanding: false,
    has_audio_understanding: false,
    model_type: 'deepseek_v3',
    architectures: ['DeepseekV3ForCausalLM'],
  });
}

/**
 * All server arguments, keys included: SGLang dumps them as they are (sglang#37457), so a caller must not pass this
 * on.
 */
function serverInfo({
  engine,
  options,
  modelPath,
  weightVersion,
  cacheReport,
  reasoningParser,
  toolCallParser,
  contextLength,
  seed,
  version,
}: EmulatorState): RouteAnswer {
  const { profile, stats } = engine;
  const priorities = { ...PRIORITIES_IGNORED, ...options.priorities };
  return ok({
    model_path: modelPath,
    tokenizer_path: modelPath,
    served_model_name: modelPath,
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 0,
    tp_size: profile.tensorParallel,
    dp_size: 1,
    nnodes: profile.hosts,
    node_rank: 0,
    mem_fraction_static: profile.memFractionStatic,
    chunked_prefill_size: profile.chunkedPrefillTokens,
    max_running_requests: profile.maxRunningRequests,
    max_queued_requests: options.maxQueuedRequests ?? null,
    enable_priority_scheduling: priorities.enabled,
    disable_priority_preemption: false,
    priority_scheduling_preemption_threshold: priorities.preemptionThreshold,
    schedule_low_priority_values_first: priorities.lowFirst,
    context_length: options.contextLength ?? null,
    revision: options.revision ?? null,
    reasoning_parser: reasoningParser,
    tool_call_parser: toolCallParser,
    chat_template: options.chatTemplate ?? null,
    log_requests: false,
    log_requests_level: 2,
    crash_dump_folder: null,
    enable_lmcache: false,
    hicache_storage_backend: null,
    enable_custom_logit_processor: false,
    enable_strict_thinking: options.strictThinking !== undefined,
    enable_deterministic_inference: options.deterministicInference ?? false,
    enable_cache_report: cacheReport,
    enable_metrics: true,
    watchdog_timeout: 300,
    disable_radix_cache: options.disableRadixCache ?? false,
    random_seed: seed,
    api_key: options.apiKey ?? null,
    admin_api_key: options.adminApiKey ?? null,
    weight_version: weightVersion,
    status: 'ready',
    max_total_num_tokens: profile.kvCapacityTokens,
    max_req_input_len: inputTokensMax(Math.min(contextLength, profile.kvCapacityTokens)) + 1,
    internal_states: [
      {
        last_gen_throughput: stats.generationThroughput,
        effective_max_running_requests_per_dp: profile.maxRunningRequests,
      },
    ],
    version,
  });
}

/** The load of a single rank: the profiles run without data-parallel attention. */
function loads({ engine, version }: EmulatorState): RouteAnswer {
  const { snapshot: load, profile, stats } = engine;
  return ok({
    timestamp: new Date().toISOString(),
    version,
    accelerator: null,
    num_accelerators: profile.gpus,
    loads: [
      {
        timestamp: load.atMs / 1_000,
        dp_rank: 0,
        num_running_reqs: load.runningRequests,
        num_waiting_reqs: load.waitingRequests,
        num_waiting_uncached_tokens: load.waitingTokens,
        num_used_tokens: load.usedTokens,
        max_total_num_tokens: profile.kvCapacityTokens,
        max_running_requests: profile.maxRunningRequests,
        token_usage: load.usedTokens / profile.kvCapacityTokens,
        gen_throughput: stats.generationThroughput,
        cache_hit_rate: stats.cacheHitRate,
        total_prefill_uncached_tokens: load.prefilled.tokens,
        total_prefill_busy_us: load.prefilled.microseconds,
        utilization: load.runningRequests / profile.maxRunningRequests,
      },
    ],
  });
}

function models({ modelPath, contextLength }: EmulatorState): RouteAnswer {
  const model = {
    id: modelPath,
    object: 'model',
    created: Math.floor(Date.now() / 1_000),
    owned_by: 'sglang',
    root: modelPath,
    parent: null,
    max_model_len: contextLength,
  };
  return ok({ object: 'list', data: [model] });
}

/** The ids of a prompt's tokens, and how many there are (serving_tokenize.py). Ids are made up; their number is not. */
function tokenizeRoute(
  { thinking, traits, contextLength, prompts }: EmulatorState,
  body: unknown,
): RouteAnswer {
  const isText = typeof (body as { prompt?: unknown } | null)?.prompt === 'string';
  const parsed = isText ? parseTextRequest(body) : parseChatRequest(body);
  if (!parsed.ok) return { status: 400, body: flatError({ ...parsed, code: 400 }) };
  const texts = promptTokens(parsed.request, { thinking, traits });
  const { add_special_tokens: special } = body as { add_special_tokens?: unknown };
  const bare = isText && special === false ? texts.slice(1) : texts;
  const tokens = bare.map((token) => hash32(token) % VOCABULARY);
  prompts.keep(tokens, parsed.request);
  return ok({ tokens, count: tokens.length, max_model_len: contextLength });
}

/** Answers 200 with an empty body whether or not a request matched (http_server.py). */
function abortRequest({ engine }: EmulatorState, body: unknown): RouteAnswer {
  const { rid, abort_all: abortAll } = (body ?? {}) as { rid?: unknown; abort_all?: unknown };
  if (abortAll === true) engine.abort({ rid: '', abortAll: true });
  else if (typeof rid === 'string' && rid !== '') engine.abort({ rid });
  return ok('');
}
