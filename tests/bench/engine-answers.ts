/**
 * The events that a SGLang engine writes for the workloads, as recorded (tests/gpu-pool/emulator/recordings): the
 * event of a role, one of each token with the usage so far, those of the end and of the usage. Thoughts are raw text, too,
 * because the agent takes them apart itself: the usage says which tokens are theirs.
 */
import {
  deltaChunk,
  type Envelope,
  type Usage,
  usageChunk,
  usageOf,
} from '../../gpu-pool/emulator/openai-shape.ts';
import { RECOMMENDED_RELEASE, traitsOf } from '../../gpu-pool/emulator/release.ts';
import { type Answer, events, json } from './answers.ts';
import { ANSWERED, MODEL, MODEL_PATH, TOKEN, type Workload } from './workloads.ts';

const CAPACITY_TOKENS = 1_000_000_000;
const REQUESTS_MAX = 100_000;

/** Answers to `POST /v1/chat/completions` by workload. */
const completions = new Map(ANSWERED.map((each) => [each.name, events(engineEvents(each), each)]));

/** Answers to everything else that an agent asks, by path without query. */
const others: Record<string, Answer> = {
  '/model_info': json(200, { model_path: MODEL_PATH, weight_version: 'default' }),
  '/server_info': json(200, {
    version: RECOMMENDED_RELEASE,
    reasoning_parser: 'deepseek-r1',
    tool_call_parser: 'deepseekv3',
    chat_template: 'tool_chat_template_deepseekr1.jinja',
    enable_cache_report: true,
    enable_priority_scheduling: true,
    max_queued_requests: REQUESTS_MAX,
  }),
  '/v1/loads': json(200, {
    loads: [{ dp_rank: 0, max_total_num_tokens: CAPACITY_TOKENS, max_running_requests: REQUESTS_MAX }],
  }),
  '/health': json(200, {}),
  '/health_generate': json(200, {}),
  '/v1/models': json(200, {
    object: 'list',
    data: [{ id: MODEL, object: 'model', created: 1, owned_by: 'sglang' }],
  }),
  '/abort_request': json(200, {}),
};

export function engineAnswer(
  path: string,
  workload: () => Workload,
): { writes: Answer; paceMs: number | null } {
  const [name] = path.split('?');
  if (name !== '/v1/chat/completions') return { writes: others[name!] ?? json(404, {}), paceMs: null };
  const { name: asked, paceMs } = workload();
  return { writes: completions.get(asked)!, paceMs };
}

function engineEvents({ tokens, promptTokens, reasoning }: Workload): object[] {
  const envelope: Envelope = {
    ids: ['0123456789abcdef0123456789abcdef'],
    created: 1_700_000_000,
    model: MODEL_PATH,
  };
  const traits = traitsOf(RECOMMENDED_RELEASE);
  const usage = (completionTokens: number): Usage => {
    const reasoningTokens = reasoning ? completionTokens : 0;
    const counts = { promptTokens, cachedTokens: 0, completionTokens, reasoningTokens };
    return usageOf(counts, { cacheReport: true, traits });
  };
  const finish = { reason: 'stop', matched: 1 };
  return [
    deltaChunk(envelope, { index: 0, delta: { role: 'assistant', content: '' } }),
    ...Array.from({ length: tokens }, (_, i) => {
      return deltaChunk(envelope, {
        index: 0,
        delta: { content: `${TOKEN} ` },
        usage: usage(i + 1),
      });
    }),
    deltaChunk(envelope, { index: 0, delta: {}, finish }),
    usageChunk(envelope, usage(tokens)),
  ];
}
