/**
 * Every argument of the engine that does not depend on the model alone: its value, for which hardware it is set, why, and
 * the source. All recipes are built from this table and the model's profile, whose flags for the hardware replace the
 * table's or come after them. Spellings are those of SGLang 0.5.20 and later; where the documentation uses an abbreviation
 * (`--tp`), the table has the declared name.
 */
import type { Flag, Scalar, SetFlag } from './flag.ts';
import { profileFlags } from './profile-flags.ts';
import { ENGINE_PORT, type Recipe } from './recipe.ts';

const FIELDS = 'https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/arg_groups/fields';
const COOKBOOK = 'https://docs.sglang.io/cookbook/autoregressive/DeepSeek/DeepSeek-R1';
const PARSERS = 'https://docs.sglang.io/docs/advanced_features';

export const revisionOf = ({ revision, profile }: Recipe): string | undefined =>
  revision ?? profile.commit ?? undefined;

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
    value: { byHost: ({ profile }) => profile.repository },
    why: 'The name under which the edge knows the model: a node that reports a local path is refused.',
    source: 'profile: repository',
  },
  {
    name: '--revision',
    value: { byHost: revisionOf },
    why: 'Pins the weights, and the code of their repository where the engine runs any.',
    source: `${FIELDS}/model.py`,
  },
  {
    name: '--weight-version',
    value: { byHost: revisionOf },
    why: 'The version of the weights that the node reports to the edge.',
    source: `${FIELDS}/serving.py`,
  },
  {
    name: '--tp-size',
    value: { byHardware: { '8xh800-pair': 16, '8xh800': 8, '8xh200': 8, '8xmi300x': 8 } },
    byDefault: true,
    why: 'All GPUs of the node share one copy of the weights.',
    source: `${FIELDS}/parallel.py`,
  },
  {
    name: '--nnodes',
    value: { byHardware: { '8xh800-pair': 2 } },
    why: 'The engine spans both hosts of the pair.',
    source: `${FIELDS}/parallel.py`,
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
    name: '--context-length',
    value: { byHost: ({ contextLength }) => contextLength },
    why: 'The longest prompt and the longest answer that are sold, as far as the weights allow.',
    source: 'profile: contextLength; the model’s row: context_tokens, output_tokens_max',
  },
  {
    name: '--max-running-requests',
    value: { byHardware: { '8xh800-pair': 128, '8xh800': 128, '8xh200': 256, '8xmi300x': 128 } },
    byDefault: true,
    why: 'More requests would overflow the KV cache and be retracted, or exceed the captured graphs.',
    source: `${COOKBOOK}; H800: sglang#3361, measured up to 96`,
  },
  {
    name: '--cuda-graph-max-bs-decode',
    value: { byHardware: { '8xh800-pair': 128, '8xh800': 128, '8xh200': 256, '8xmi300x': 128 } },
    byDefault: true,
    why: 'Captures a graph for every batch size that can run, and spends no memory on larger ones.',
    source: COOKBOOK,
  },
  {
    name: '--chunked-prefill-size',
    // Published configurations have 32,768 on H200 and 131,072 on MI300X, which takes nine seconds and more at 14,000
    // tokens a second (emulator/profiles.ts). Within a step the engine shows no sign of life (agent/engine-pulse.ts).
    value: 8_192,
    byDefault: true,
    why: 'Prefill tokens per step, of 0.6 to 3 s: running answers pause for as long, and a hang looks no different.',
    source: `${FIELDS}/schedule.py; ${COOKBOOK}`,
  },
  {
    name: '--max-queued-requests',
    // As many requests as a full batch completes in 95 s, at 2,000 tokens an answer and the speeds of
    // emulator/profiles.ts.
    value: { byHardware: { '8xh800-pair': 32, '8xh800': 96, '8xh200': 96, '8xmi300x': 96 } },
    byDefault: true,
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
    name: '--reasoning-parser',
    value: { byHost: ({ profile }) => profile.parsers.reasoning ?? undefined },
    why: 'Names how thoughts are marked. The engine counts reasoning by it, and begins grammars behind the thought.',
    source: `${PARSERS}/separate_reasoning`,
  },
  {
    name: '--tool-call-parser',
    value: { byHost: ({ profile }) => profile.parsers.tools ?? undefined },
    why: "Names the model's own markup for calls, which the agent or the engine turns into tool_calls.",
    source: `${PARSERS}/tool_parser`,
  },
  {
    name: '--chat-template',
    value: { byHost: ({ profile }) => profile.chatTemplate ?? undefined },
    why: 'Tells the model how to call tools, in the format that the parser expects. Included in the image.',
    source: `${PARSERS}/tool_parser`,
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

/** The flags of one host: the table's in their order, then those that only the profile has. */
export function flagsOf(recipe: Recipe): SetFlag[] {
  const ofProfile = profileFlags(recipe);
  const named = new Set(FLAGS.map(({ name }) => name));
  const ofTable = FLAGS.flatMap((flag) => {
    const override = ofProfile.find((set) => set.flag.name === flag.name);
    const value = override?.value ?? resolve(flag, recipe);
    return value === undefined ? [] : [{ flag: override?.flag ?? flag, value }];
  });
  return [...ofTable, ...ofProfile.filter(({ flag }) => !named.has(flag.name))];
}

function resolve({ value }: Flag, recipe: Recipe): true | Scalar | undefined {
  if (typeof value !== 'object') return value;
  if ('byHardware' in value) return value.byHardware[recipe.hardware];
  return value.byHost(recipe);
}

/** Why a profile may not set a flag; null: it may. */
export function profileFlagFault(name: string): string | null {
  const leftOut = LEFT_OUT.find((flag) => flag.name === name);
  if (leftOut) return leftOut.why;
  const own = FLAGS.find((flag) => flag.name === name);
  return own === undefined || own.byDefault ? null : own.why;
}
