/** A `fetch` for client libraries that records the responses, so that they can be checked against the published shapes. */
import { completionFaults, errorFaults, streamFaults } from '../shapes/openai-chat.ts';

/** Checks of response bodies. Each returns one line per fault. */
export interface Shapes {
  readonly whole: (body: unknown) => string[];
  readonly stream: (text: string) => string[];
  readonly error: (body: unknown) => string[];
}

const OPENAI_CHAT: Shapes = { whole: completionFaults, stream: streamFaults, error: errorFaults };

interface Recorded {
  readonly response: Response;
  /** null: the client disconnected before the end */
  readonly text: Promise<string | null>;
}

export class ResponseRecorder {
  readonly #recorded: Recorded[] = [];
  readonly #shapes: Shapes;

  constructor(shapes: Shapes = OPENAI_CHAT) {
    this.#shapes = shapes;
  }

  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init);
    const text = response
      .clone()
      .text()
      .catch(() => null);
    this.#recorded.push({ response, text });
    return response;
  };

  /** Counts the recorded bodies that match. */
  async countMatching(pattern: RegExp): Promise<number> {
    const texts = await Promise.all(this.#recorded.map(({ text }) => text));
    return texts.filter((text) => pattern.test(text ?? '')).length;
  }

  /** Checks and removes what was recorded since the last call. */
  async faults(): Promise<{ answers: number; faults: string[] }> {
    const recorded = this.#recorded.splice(0);
    const faults = await Promise.all(recorded.map((each) => faultsOf(each, this.#shapes)));
    return { answers: recorded.length, faults: faults.flat() };
  }
}

/** Headers of every response. */
const ALWAYS = ['openai-processing-ms', 'x-request-id'];
/** Statuses that tell the client how long to wait. */
const WAITING = [429, 503];

async function faultsOf({ response, text }: Recorded, shapes: Shapes): Promise<string[]> {
  const { status, headers } = response;
  const faults = ALWAYS.filter((name) => !headers.has(name)).map((name) => `${status} without ${name}`);
  if (headers.get('request-id') !== headers.get('x-request-id')) faults.push('two request ids');
  if (WAITING.includes(status)) {
    const waitMs = Number(headers.get('retry-after-ms'));
    if (!(waitMs > 0 && waitMs <= 60_000)) faults.push(`${status} with retry-after-ms of ${waitMs}`);
    if (Math.ceil(waitMs / 1_000) !== Number(headers.get('retry-after'))) faults.push('two waits');
  }
  const body = await text;
  if (body === null) return faults;
  if (body.trim() === '') return [...faults, `${status} with an empty body`];
  if (headers.get('content-type')?.startsWith('text/event-stream'))
    return [...faults, ...shapes.stream(body)];
  const json: unknown = JSON.parse(body);
  return [...faults, ...(status === 200 ? shapes.whole(json) : shapes.error(json))];
}
