/**
 * Scripted faults: each is one way in which a real node has failed its caller. They are set through
 * `/emulator/faults`, or in process through the emulator's `faults`.
 */
import * as z from 'zod';

/** How often the fault strikes before it is spent; without it the fault stays until it is deleted. */
const times = z.int().positive().optional();
/** How many tokens of the answer are sent correctly before the fault strikes, summed over choices. */
const afterTokens = z.int().min(0).default(3);

const simple = <K extends string>(kind: K) => z.strictObject({ kind: z.literal(kind), times });

export const Fault = z.discriminatedUnion('kind', [
  simple('refuse'),
  simple('reset_before_headers'),
  simple('empty_200'),
  z.strictObject({ kind: z.literal('die_mid_stream'), times, afterTokens }),
  simple('hang'),
  /** `everyMs` is real time, whatever the engine's speed, because it tests the caller's timers. */
  z.strictObject({ kind: z.literal('trickle'), times, everyMs: z.number().positive().default(10_000) }),
  simple('split_bytes'),
  simple('crlf'),
  z.strictObject({ kind: z.literal('malformed_frame'), times, afterTokens }),
  simple('usage_missing'),
  simple('usage_null'),
  simple('usage_shrinking'),
  simple('usage_negative'),
  simple('usage_huge'),
  simple('no_done'),
  simple('bytes_after_done'),
  z.strictObject({ kind: z.literal('status_429'), times, retryAfterSeconds: z.int().min(0).default(2) }),
  simple('status_503'),
  simple('queue_full_200'),
  simple('error_500_after_work'),
  simple('html_200'),
  simple('ignore_abort'),
  simple('unhealthy'),
  simple('frozen'),
  simple('answer_in_reasoning'),
]);
export type Fault = z.infer<typeof Fault>;
export type FaultKind = Fault['kind'];

/** The effect of each fault, as `GET /emulator/faults` explains it. */
export const FAULT_DESCRIPTIONS = {
  refuse: 'destroys the socket of every request at once; spent by chat completions',
  reset_before_headers: 'reads the request, then resets the connection',
  empty_200: 'answers 200 with its headers, then dies before the first event',
  die_mid_stream: 'destroys the socket after some tokens; generation stops',
  hang: 'takes the request and never answers',
  trickle: 'sends one byte at a time, slowly',
  split_bytes: 'writes every byte on its own',
  crlf: 'ends lines with CR LF',
  malformed_frame: 'sends one event whose JSON is cut off, then goes on',
  usage_missing: 'leaves usage out everywhere',
  usage_null: 'sends usage as null everywhere',
  usage_shrinking: 'halves the output counts of every second usage and of the last',
  usage_negative: 'negates all counts',
  usage_huge: 'sends counts near 2⁵³',
  no_done: 'ends the stream without [DONE]',
  bytes_after_done: 'goes on sending after [DONE]',
  status_429: 'answers 429 with Retry-After',
  status_503: 'answers 503',
  queue_full_200: 'answers as if the queue were full: with streaming 200 and an error event, else 503',
  error_500_after_work: 'generates everything, then answers 500',
  html_200: 'answers 200 with an HTML page',
  ignore_abort: 'goes on generating after an abort or a disconnect',
  unhealthy: '/health and /health_generate answer 503 at once, as where the engine starts or ends',
  frozen:
    'stops the scheduler as SIGSTOP would, until it is deleted: no token, no new load, no health; HTTP goes on',
  // The R1 parser does so when no think tags appear, as with structured output (sglang#4539).
  answer_in_reasoning: 'puts the answer into reasoning_content',
} satisfies Record<FaultKind, string>;

/** Faults that strike every path, so that a caller's probes see them too. */
const NOT_CHAT_ONLY: readonly FaultKind[] = ['refuse', 'unhealthy', 'frozen'];

export class FaultBoard {
  #faults: Array<{ fault: Fault; timesLeft: number }> = [];
  readonly #onChange: (board: FaultBoard) => void;

  /** @param onChange called whenever faults were added or deleted */
  constructor(onChange: (board: FaultBoard) => void = () => {}) {
    this.#onChange = onChange;
  }

  /** Adds a fault. @throws ZodError when the input is not a fault */
  add(input: z.input<typeof Fault>): Fault {
    const fault = Fault.parse(input);
    this.#faults.push({ fault, timesLeft: fault.times ?? Number.POSITIVE_INFINITY });
    this.#onChange(this);
    return fault;
  }

  clear(): void {
    this.#faults = [];
    this.#onChange(this);
  }

  list(): Array<Fault & { timesLeft: number | null }> {
    return this.#faults.map(({ fault, timesLeft }) => ({
      ...fault,
      timesLeft: Number.isFinite(timesLeft) ? timesLeft : null,
    }));
  }

  has(kind: FaultKind): boolean {
    return this.#faults.some(({ fault }) => fault.kind === kind);
  }

  /** Uses up one strike of a fault that strikes outside chat completions; false when it is not set. */
  spend(kind: FaultKind): boolean {
    return this.#take((fault) => fault.kind === kind).length > 0;
  }

  /** All faults that strike the chat completion that has just arrived. Faults of different kinds combine. */
  takeForChat(): FaultSet {
    return new FaultSet(this.#take((fault) => !NOT_CHAT_ONLY.includes(fault.kind)));
  }

  #take(matches: (fault: Fault) => boolean): Fault[] {
    const taken = this.#faults.filter(({ fault }) => matches(fault));
    for (const entry of taken) entry.timesLeft -= 1;
    this.#faults = this.#faults.filter(({ timesLeft }) => timesLeft > 0);
    return taken.map(({ fault }) => fault);
  }
}

/** The faults of one request. */
export class FaultSet {
  readonly #faults: Fault[];

  constructor(faults: Fault[]) {
    this.#faults = faults;
  }

  get<K extends FaultKind>(kind: K): Extract<Fault, { kind: K }> | undefined {
    return this.#faults.find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind);
  }

  has(kind: FaultKind): boolean {
    return this.get(kind) !== undefined;
  }

  get kinds(): FaultKind[] {
    return this.#faults.map(({ kind }) => kind);
  }
}
