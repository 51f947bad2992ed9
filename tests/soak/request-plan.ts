/** The plan of a soak's requests: the n-th request of a seed, with its body, its key and its client's behaviour. */
import { attackBody } from './attacks.ts';
import { type Draw, drawsFor } from './draw.ts';

/** The holder of the key: with credit, with almost none, with none, with a key that is revoked, unknown, or an attacker. */
export type Requester = 'rich' | 'poor' | 'broke' | 'revoked' | 'stranger' | 'attacker';

export interface PlannedRequest {
  readonly n: number;
  readonly kind: RequestKind;
  readonly requester: Requester;
  /** A number that selects one of the requester's keys. */
  readonly pick: number;
  /** Credit granted to the requester's account before the request. */
  readonly grantUsd?: string;
  /** JSON, or invalid input. */
  readonly body: string;
  /** How many times it is sent, one after the other, under one Idempotency-Key. */
  readonly times?: number;
  /** Another body that is sent last under the same Idempotency-Key. */
  readonly otherBody?: string;
  readonly leaveAfterBytes?: number;
  readonly leaveAfterMs?: number;
  readonly leaveBy?: 'close' | 'reset';
  readonly restMs?: number;
}

type Shape = Omit<PlannedRequest, 'n' | 'kind' | 'requester' | 'pick'> & { readonly requester?: Requester };

const KINDS = {
  short_stream: 20,
  long_stream: 7,
  short_whole: 12,
  long_whole: 5,
  conversation: 10,
  two_choices: 5,
  no_max_tokens: 6,
  poor: 6,
  broke: 2,
  retried: 5,
  retried_otherwise: 2,
  leaver_of_stream: 12,
  leaver_of_whole: 5,
  slow_reader: 4,
  bad_input: 4,
  stranger: 1,
  revoked: 4,
  attack: 16,
} as const;
export type RequestKind = keyof typeof KINDS;

export function plannedRequest(seed: number, n: number): PlannedRequest {
  const draw = drawsFor(seed, 'request', n);
  const kind = draw.weighted(KINDS);
  return { n, kind, requester: 'rich', pick: draw.between(0, 1_000), ...SHAPES[kind](draw, n) };
}

/** The typical length of a stream's event. A client disconnects at a byte of the whole answer or a little beyond. */
const EVENT_BYTES = 300;

const SHAPES: Record<RequestKind, (draw: Draw, n: number) => Shape> = {
  short_stream: (draw, n) => ({ body: body(n, short(draw), { stream: true }) }),
  long_stream: (draw, n) => ({ body: body(n, long(draw), { stream: true, stream_options: usage(draw) }) }),
  short_whole: (draw, n) => ({ body: body(n, short(draw)) }),
  long_whole: (draw, n) => ({ body: body(n, long(draw)) }),
  conversation: (draw, n) => ({
    body: JSON.stringify({
      model: 'deepseek-reasoner',
      max_tokens: 2_000,
      stream: draw.fraction() < 0.7,
      messages: [
        { role: 'system', content: PREFIXES[draw.between(0, PREFIXES.length - 1)] },
        { role: 'user', content: `Question ${n}. ${short(draw).marker}` },
      ],
    }),
  }),
  two_choices: (draw, n) => ({ body: body(n, short(draw), { n: 2, stream: draw.fraction() < 0.7 }) }),
  no_max_tokens: (draw, n) => ({
    body: body(n, { marker: '' }, { max_tokens: undefined, stream: draw.fraction() < 0.5 }),
  }),
  poor: (draw, n) => ({
    requester: 'poor',
    grantUsd: (draw.between(1, 900) / 1_000_000).toFixed(6),
    body: body(
      n,
      { marker: '[[reasoning=3000 answer=60000]]' },
      { max_tokens: 64_000, stream: draw.fraction() < 0.6 },
    ),
  }),
  broke: (draw, n) => ({ requester: 'broke', body: body(n, short(draw)) }),
  retried: (draw, n) => ({
    times: draw.between(2, 4),
    body: body(n, short(draw), { stream: draw.fraction() < 0.6 }),
    ...(draw.fraction() < 0.4 ? { leaveAfterBytes: draw.between(0, 60 * EVENT_BYTES) } : {}),
  }),
  retried_otherwise: (draw, n) => ({
    times: 1,
    body: body(n, short(draw)),
    otherBody: body(n, { marker: '[[reasoning=9 answer=9]]' }, { temperature: 0.7 }),
  }),
  leaver_of_stream: (draw, n) => {
    const { marker, tokens } = medium(draw);
    return {
      body: body(n, { marker }, { stream: true }),
      leaveAfterBytes: draw.between(0, Math.ceil(tokens * EVENT_BYTES * 1.1)),
      leaveBy: draw.of(['close', 'reset']),
    };
  },
  leaver_of_whole: (draw, n) => ({
    body: body(n, long(draw)),
    leaveAfterMs: draw.between(0, 9_000),
    leaveBy: draw.of(['close', 'reset']),
  }),
  slow_reader: (draw, n) => ({
    body: body(n, medium(draw), { stream: true }),
    restMs: draw.between(20, 250),
  }),
  bad_input: (draw) => ({ body: draw.of(BAD_BODIES) }),
  stranger: (draw, n) => ({ requester: 'stranger', body: body(n, short(draw)) }),
  revoked: (draw, n) => ({
    requester: 'revoked',
    body: body(n, short(draw), { stream: draw.fraction() < 0.5 }),
  }),
  attack: (draw, n) => ({ requester: 'attacker', body: attackBody(draw, n, short(draw).marker) }),
};

interface Length {
  readonly marker: string;
}

function body(n: number, { marker }: Length, over: Record<string, unknown> = {}): string {
  const messages = [{ role: 'user', content: `Request ${n} of the soak. ${marker}` }];
  return JSON.stringify({ model: 'deepseek-reasoner', messages, max_tokens: 8_000, ...over });
}

const short = (draw: Draw) => length(draw.between(5, 60), draw.between(5, 80));
const medium = (draw: Draw) => length(draw.between(20, 200), draw.between(20, 300));
const long = (draw: Draw) => length(draw.between(100, 500), draw.between(200, 800));

function length(reasoning: number, answer: number) {
  return { marker: `[[reasoning=${reasoning} answer=${answer}]]`, tokens: reasoning + answer };
}

function usage(draw: Draw) {
  return draw.fraction() < 0.5 ? { include_usage: true } : undefined;
}

/** System messages that many requests share, so that the prefix cache has hits. */
const PREFIXES = [400, 1_500, 6_000, 20_000].map((characters, i) =>
  `You are assistant number ${i}. Answer as the house rules say. `.repeat(Math.ceil(characters / 60)),
);

const BAD_BODIES = [
  '',
  '{"model":',
  'null',
  '{"model":"deepseek-reasoner"}',
  '{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}',
  '{"model":"deepseek-reasoner","messages":[{"role":"user","content":"x"}],"max_tokens":1e999}',
  '{"model":"deepseek-reasoner","messages":[{"role":"user","content":"x"}],"max_tokens":-1}',
  '{"model":"deepseek-reasoner","messages":[{"role":"user","content":"x"}],"n":0}',
  '{"model":"deepseek-reasoner","messages":[{"role":"user","content":"x"}],"n":129}',
  '{"model":"deepseek-reasoner","messages":[{"role":"user","content":"x"}],"stream":"yes"}',
];
