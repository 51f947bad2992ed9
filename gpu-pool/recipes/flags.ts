/**
 * Every argument of the engine: its value, for which models and hardware it is set, why, and the source. All
 * recipes are built from this table. Spellings are those of SGLang 0.5.20 and later; where the documentation uses
 * an abbreviation (`--tp`), the table has the declared name.
 */
import type { Hardware } from '../protocol/schemas.ts';
import { ENGINE_PORT, type Model, type Recipe } from './recipe.ts';

type Scalar = string | number;

export interface Flag {
  name: `--${string}`;
  /**
   * true: a switch. A record lists the models or the hardware for which the flag is set; it is left out for others.
   */
  value:
    | true
    | Scalar
    | { byModel: Partial<Record<Model, Scalar>> }
    | { byHardware: Partial<Record<Hardware, Scalar>> }
    /** A value that is known only when a recipe is written; undefined: this host does not get the flag. */
    | { byHost: (recipe: Recipe) => Scalar | undefined };
  /**
   * Set for flags that reach the engine in a file that only root reads, because every user of a host sees
   * arguments.
   */
  secret?: true;
  /** The reason in one line, printed above the flag in what is generated. */
  why: string;
  source: string;
}

const FIELDS = 'https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/arg_groups/fields';
const DEEPSEEK = 'https://docs.sglang.io/docs/basic_usage/deepseek_v3';
/** The published H200 and MI300X launches. Both add --disable-radix-cache, which is left out below. */
const COOKBOOK = 'https://docs.sglang.io/cookbook/autoregressive/DeepSeek/DeepSeek-R1';
const TEMPLATES = '/sgl-workspace/sglang/examples/chat_template';

const ifPair =
  (value: (recipe: Recipe) => Scalar) =>
  (recipe: Recipe): Scalar | undefined =>
    recipe.hardware === '8xh800-pair' ? value(recipe) : undefined;
/** Rank 1 answers no API, so it does not get the keys. */
const ifRankZero =
  (value: (recipe: Recipe) => Scalar) =>
  (recipe: Recipe): Scalar | undefined =>
    recipe.rank === 0 ? value(recipe) : undefined;

export const FLAGS: readonly Flag[] = [
  {
    name: '--model-path',
    value: {
      byModel: {
        'deepseek-r1-0528': 'deepseek-ai/DeepSeek-R1-0528',
        'deepseek-v3-0324': 'deepseek-ai/DeepSeek-V3-0324',
        'deepseek-r1-zero': 'deepseek-ai/DeepSeek-R1-Zero',
      },
    },
    why: 'The name under which the edge knows the model: a node that reports a local path is refused.',
    source: 'migrations: model.model_paths',
  },
  {
    name: '--revision',
    value: { byHost: ({ revision }) => revision },
    why: 'Pins the weights, and the code that --trust-remote-code runs.',
    source: `${FIELDS}/model.py`,
  },
  {
    name: '--weight-version',
    value: { byHost: ({ revision }) => revision },
    why: 'The version of the weights that the node reports to the edge.',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--trust-remote-code',
    value: true,
    why: "The model's repository has its own configuration class.",
    source: DEEPSEEK,
  },
  {
    name: '--tp-size',
    value: { byHardware: { '8xh800-pair': 16, '8xh200': 8, '8xmi300x': 8 } },
    why: 'All GPUs of the node share one copy of the weights, 671 GB in FP8.',
    source: `${FIELDS}/parallel.py`,
  },
  {
    name: '--nnodes',
    value: { byHardware: { '8xh800-pair': 2 } },
    why: 'One host with 8×80 GB cannot hold the weights.',
    source: DEEPSEEK,
  },
  {
    name: '--node-rank',
    value: { byHost: ifPair(({ rank }) => rank) },
    why: 'Rank 0 answers HTTP; rank 1 has only a health check.',
    source: `${FIELDS}/parallel.py`,
  },
  {
    name: '--dist-init-addr',
    value: { byHost: ifPair(({ distInitAddr }) => distInitAddr) },
    why: 'Rank 0 on the network between the two hosts. The port is unauthenticated: keep the network private.',
    source: `${FIELDS}/parallel.py`,
  },
  {
    name: '--mem-fraction-static',
    // The H800 pair uses SGLang's own estimate, about 0.8 at TP16 in chunks of 8,192 (memory_hook.py); no value is
    // published.
    value: { byHardware: { '8xh200': 0.82, '8xmi300x': 0.8 } },
    why: 'Share of GPU memory for weights and KV cache; the rest is for activations and graphs.',
    source: COOKBOOK,
  },
  {
    name: '--context-length',
    value: 163_840,
    why: 'As long as the weights allow: the longest prompt sold, 131,072 tokens, and an answer of 32,768.',
    source: 'migrations: model.context_tokens; max_position_embeddings of the models',
  },
  {
    name: '--max-running-requests',
    value: { byHardware: { '8xh800-pair': 128, '8xh200': 256, '8xmi300x': 128 } },
    why: 'More requests would overflow the KV cache and be retracted, or exceed the captured graphs.',
    source: `${COOKBOOK}; H800: sglang#3361, measured up to 96`,
  },
  {
    name: '--cuda-graph-max-bs-decode',
    value: { byHardware: { '8xh800-pair': 128, '8xh200': 256, '8xmi300x': 128 } },
    why: 'Captures a graph for every batch size that can run, and spends no memory on larger ones.',
    source: COOKBOOK,
  },
  {
    name: '--max-queued-requests',
    // As many requests as a full batch completes in 95 s, at 2,000 tokens an answer and the speeds of
    // emulator/profiles.ts.
    value: { byHardware: { '8xh800-pair': 32, '8xh200': 96, '8xmi300x': 96 } },
    why: 'Unlimited by default. Behind a longer queue, a request would get no first token before the deadline.',
    source: `${FIELDS}/schedule.py`,
  },
  {
    name: '--enable-priority-scheduling',
    value: true,
    why: 'Batch lines run on idle capacity and make room for interactive requests.',
    source: `${FIELDS}/schedule.py`,
  },
  {
    name: '--chunked-prefill-size',
    value: { byHardware: { '8xh200': 32_768, '8xmi300x': 131_072 } },
    why: 'Prefill tokens per step: trades throughput of long prompts against pauses in running answers.',
    source: COOKBOOK,
  },
  {
    name: '--max-prefill-tokens',
    value: { byHardware: { '8xh200': 32_768, '8xmi300x': 131_072 } },
    why: 'As large as a chunk, so that one prompt fills a batch.',
    source: COOKBOOK,
  },
  {
    name: '--attention-backend',
    value: { byHardware: { '8xh200': 'flashinfer', '8xmi300x': 'aiter' } },
    why: 'The backend that the published numbers were measured with.',
    source: COOKBOOK,
  },
  {
    name: '--kv-cache-dtype',
    value: { byHardware: { '8xmi300x': 'fp8_e4m3' } },
    why: 'Doubles the tokens that fit in the KV cache.',
    source: COOKBOOK,
  },
  {
    name: '--reasoning-parser',
    value: {
      byModel: {
        'deepseek-r1-0528': 'deepseek-r1',
        // Everything up to </think> is reasoning, with or without an opening tag. R1-Zero's <answer> tags stay in
        // the content, as they came. V3-0324 does not think; `deepseek-v3` is the parser of the hybrid V3.1.
        'deepseek-r1-zero': 'deepseek-r1',
      },
    },
    why: 'Separates the text before </think> from the answer, as reasoning_content.',
    source: 'https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/parser/reasoning_parser.py',
  },
  {
    name: '--tool-call-parser',
    value: 'deepseekv3',
    why: "Turns the model's own markup for calls into tool_calls.",
    source:
      'https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/function_call/function_call_parser.py',
  },
  {
    name: '--chat-template',
    value: {
      byModel: {
        'deepseek-r1-0528': `${TEMPLATES}/tool_chat_template_deepseekr1.jinja`,
        'deepseek-v3-0324': `${TEMPLATES}/tool_chat_template_deepseekv3.jinja`,
        'deepseek-r1-zero': `${TEMPLATES}/tool_chat_template_deepseekr1.jinja`,
      },
    },
    why: 'Tells the model how to call tools, in the format that the parser expects. Included in the image.',
    source: DEEPSEEK,
  },
  {
    name: '--enable-cache-report',
    value: true,
    why: 'Without it, usage does not report cached tokens, which are billed at a lower price.',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--enable-metrics',
    value: true,
    why: 'Serves queue, cache and latency metrics at /metrics, on loopback.',
    source: `${FIELDS}/observability.py`,
  },
  {
    name: '--log-level',
    value: 'warning',
    why: 'At level info, the engine logs both keys when it starts (sglang#37457).',
    source: 'https://github.com/sgl-project/sglang/issues/37457',
  },
  {
    name: '--host',
    value: '127.0.0.1',
    why: 'Only the agent may reach the engine; an agent does not enrol an exposed engine.',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--port',
    value: ENGINE_PORT,
    why: 'The port at which the agent expects the engine (TOLLGATE_ENGINE).',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--api-key',
    value: { byHost: ifRankZero(({ keys }) => keys.api) },
    secret: true,
    why: "The agent's ENGINE_API_KEY. SGLang reads no environment variable for it (sglang#36346).",
    source: 'https://github.com/sgl-project/sglang/issues/36346',
  },
  {
    name: '--admin-api-key',
    value: { byHost: ifRankZero(({ keys }) => keys.admin) },
    secret: true,
    why: "The agent's ENGINE_ADMIN_API_KEY, required for aborts.",
    source: `${FIELDS}/serving.py`,
  },
];

/** Flags that published configurations have and these must not. */
export const LEFT_OUT: readonly Pick<Flag, 'name' | 'why' | 'source'>[] = [
  {
    name: '--disable-radix-cache',
    why: 'Conversations are routed to the node that has their prefix cached, which is useless without the cache.',
    source: COOKBOOK,
  },
  {
    name: '--enable-lmcache',
    why: "It ignores cache_salt, so one tenant's prompts would warm the cache for another's (sglang#37160).",
    source: 'https://github.com/sgl-project/sglang/issues/37160',
  },
  {
    name: '--hicache-storage-backend',
    why: 'A store beyond this host is shared by engines and accounts.',
    source: `${FIELDS}/memory.py`,
  },
  {
    name: '--crash-dump-folder',
    why: "It writes customers' prompts to a file when the engine crashes.",
    source: `${FIELDS}/observability.py`,
  },
  {
    name: '--num-continuous-decode-steps',
    why: 'Nothing in SGLang 0.5.20 to 0.5.23 reads it.',
    source: `${FIELDS}/schedule.py`,
  },
  {
    name: '--served-model-name',
    why: 'The agent uses the name in /model_info, so a second name has no effect.',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--log-requests',
    why: "It writes customers' prompts and answers to the log.",
    source: `${FIELDS}/observability.py`,
  },
  {
    name: '--enable-custom-logit-processor',
    why: 'It unpickles code from requests.',
    source: `${FIELDS}/exec_.py`,
  },
];

export interface SetFlag {
  flag: Flag;
  value: true | Scalar;
}

/** The flags of one host, in the table's order. */
export function flagsOf(recipe: Recipe): SetFlag[] {
  return FLAGS.flatMap((flag) => {
    const value = resolve(flag, recipe);
    return value === undefined ? [] : [{ flag, value }];
  });
}

function resolve({ value }: Flag, recipe: Recipe): true | Scalar | undefined {
  if (typeof value !== 'object') return value;
  if ('byModel' in value) return value.byModel[recipe.model];
  if ('byHardware' in value) return value.byHardware[recipe.hardware];
  return value.byHost(recipe);
}
