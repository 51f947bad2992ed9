/** The workloads: kinds of request, the same for every system. The prompt names workload and pace for the upstream. */

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly stream: boolean;
  /** The answer's tokens; in a stream each is an event. */
  readonly tokens: number;
  /** True when events carry `reasoning_content`. */
  readonly reasoning: boolean;
  readonly promptBytes: number;
  /** A factor on the time of a measurement: with many connections one long answer takes seconds. */
  readonly durationFactor: number;
  /** The prompt tokens that the upstream reports. */
  readonly promptTokens: number;
  /** Milliseconds between two events, each a write of its own, as engines send; null: no delay, sixteen events a write */
  readonly paceMs: number | null;
  /** The numbers of connections at which it is measured unless the command line names others. */
  readonly connections: readonly number[];
}

const SMALL = {
  stream: false,
  tokens: 4,
  reasoning: false,
  promptBytes: 64,
  promptTokens: 20,
  durationFactor: 1,
  paceMs: null,
  connections: [1, 16],
} as const;

export const WORKLOADS: readonly Workload[] = [
  { name: 'small', title: 'small, unstreamed', ...SMALL },
  { name: 'stream', title: '200-event stream', ...SMALL, stream: true, tokens: 200, connections: [16] },
  {
    ...SMALL,
    ...{
      name: 'reasoning',
      title: '4,000-token reasoning stream',
      stream: true,
      tokens: 4_000,
      reasoning: true,
      durationFactor: 4,
    },
  },
  {
    ...SMALL,
    ...{ name: 'prompt', title: '100 KB prompt, unstreamed', promptBytes: 100 << 10, promptTokens: 25_000 },
    connections: [16],
  },
  {
    ...SMALL,
    ...{ name: 'paced', title: '100-event stream, one event a write', stream: true, tokens: 100 },
    // Engines of large models send 40 to 60 tokens a second to each reader.
    ...{ paceMs: 20, connections: [16, 100, 1_000], durationFactor: 4 },
  },
];

const PACED = WORKLOADS.find(({ name }) => name === 'paced')!;
/** Streams that stay open while memory is read; so few events that the system has time for all of them. */
export const OPEN: Workload = { ...PACED, name: 'open', title: 'open stream', tokens: 16, paceMs: 500 };
/** A stream at an engine's pace, 40 tokens a second. */
export const STEADY: Workload = {
  ...PACED,
  name: 'steady',
  title: '200 tokens, 40 a second',
  tokens: 200,
  paceMs: 25,
};
/** All that the upstream answers. */
export const ANSWERED: readonly Workload[] = [...WORKLOADS, OPEN, STEADY];

export const MODEL = 'deepseek-r1-0528';
export const MODEL_PATH = 'deepseek-ai/DeepSeek-R1-0528';

/** The text of every answer token, which occurs nowhere else, so that counting it shows whether an answer is complete. */
export const TOKEN = 'zebra';
const MARKER = 'answer=';

/** @throws Error that lists the workloads when there is none of this name */
export function workloadNamed(name: string): Workload {
  const found = ANSWERED.find((each) => each.name === name);
  const names = ANSWERED.map((each) => each.name).join(', ');
  if (!found) throw new Error(`There is no workload '${name}': ${names}`);
  return found;
}

/** The JSON body of `POST /v1/chat/completions`. */
export function requestBody(workload: Workload): string {
  const { stream } = workload;
  const messages = messagesOf(workload);
  return JSON.stringify({ model: MODEL, messages, stream, max_tokens: tokensMax(workload) });
}

export function messagesOf({ name, promptBytes, paceMs }: Workload): { role: 'user'; content: string }[] {
  const filler = 'Tell me of the animals of the steppe. '.repeat(Math.ceil(promptBytes / 38));
  const content = `${filler.slice(0, promptBytes)} ${MARKER}${name},${paceMs ?? 0};`;
  return [{ role: 'user', content }];
}

/** A request allows a few tokens more than its answer has, as clients do. */
export function tokensMax({ tokens }: Workload): number {
  return tokens + 16;
}

/** The time that the upstream takes for an answer. */
export function answerMs({ tokens, paceMs }: Workload): number {
  return tokens * (paceMs ?? 0);
}

/** Finds workload and pace by the marker in a request's body, from the edge or from a client. */
export function workloadIn(body: Buffer): Workload {
  const at = body.indexOf(MARKER);
  const end = body.indexOf(';', at);
  if (at < 0 || end < 0) throw new Error('a request without a marker');
  const [name, pace] = body.toString('latin1', at + MARKER.length, end).split(',');
  return { ...workloadNamed(name!), paceMs: Number(pace) || null };
}
