/** What is asked: four kinds of request, the same of every system. The name of one is in its prompt, for the upstream. */

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly stream: boolean;
  /** tokens of the answer; streamed, each is an event of its own */
  readonly tokens: number;
  /** events carry `reasoning_content` */
  readonly reasoning: boolean;
  readonly promptBytes: number;
  /** times as long is it measured: with many at once one answer takes seconds */
  readonly lasting: number;
  /** what the upstream says that it counted */
  readonly promptTokens: number;
}

const SMALL = {
  stream: false,
  tokens: 4,
  reasoning: false,
  promptBytes: 64,
  promptTokens: 20,
  lasting: 1,
} as const;

export const WORKLOADS: readonly Workload[] = [
  { name: 'small', title: 'small, unstreamed', ...SMALL },
  { name: 'stream', title: '200-event stream', ...SMALL, stream: true, tokens: 200 },
  {
    ...SMALL,
    ...{
      name: 'reasoning',
      title: '4,000-token reasoning stream',
      stream: true,
      tokens: 4_000,
      reasoning: true,
      lasting: 4,
    },
  },
  {
    ...SMALL,
    ...{ name: 'prompt', title: '100 KB prompt, unstreamed', promptBytes: 100 << 10, promptTokens: 25_000 },
  },
];

export const MODEL = 'deepseek-r1-0528';
export const MODEL_PATH = 'deepseek-ai/DeepSeek-R1-0528';

/** Is each token of each answer, and in no other text: counting it in what arrives shows that all is there. */
export const TOKEN = 'zebra';
const MARKER = 'answer=';

/** @throws Error naming those there are */
export function workloadNamed(name: string): Workload {
  const found = WORKLOADS.find((each) => each.name === name);
  const names = WORKLOADS.map((each) => each.name).join(', ');
  if (!found) throw new Error(`There is no workload '${name}': ${names}`);
  return found;
}

/** JSON of `POST /v1/chat/completions`. */
export function requestBody({ name, stream, tokens, promptBytes }: Workload): string {
  const filler = 'Tell me of the animals of the steppe. '.repeat(Math.ceil(promptBytes / 38));
  const content = `${filler.slice(0, promptBytes)} ${MARKER}${name};`;
  const messages = [{ role: 'user', content }];
  return JSON.stringify({ model: MODEL, messages, stream, max_tokens: tokens + 16 });
}

/** By the marker in a body, edge's or client's. */
export function workloadIn(body: Buffer): Workload {
  const at = body.indexOf(MARKER);
  const end = body.indexOf(';', at);
  if (at < 0 || end < 0) throw new Error('a request without a marker');
  return workloadNamed(body.toString('latin1', at + MARKER.length, end));
}
