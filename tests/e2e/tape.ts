/** A `fetch` for clients that keeps what came over the wire, to be held against what OpenAI published. */
import { completionFaults, errorFaults, streamFaults } from '../shapes/openai-chat.ts';

/** What is wrong with an answer, a line each. */
export interface Shapes {
  readonly whole: (body: unknown) => string[];
  readonly stream: (text: string) => string[];
  readonly error: (body: unknown) => string[];
}

const OPENAI_CHAT: Shapes = { whole: completionFaults, stream: streamFaults, error: errorFaults };

interface Taken {
  readonly response: Response;
  /** null: the client left before the end */
  readonly text: Promise<string | null>;
}

export class Tape {
  readonly #taken: Taken[] = [];
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
    this.#taken.push({ response, text });
    return response;
  };

  /** How many of the bodies that were kept look like this. */
  async kept(pattern: RegExp): Promise<number> {
    const texts = await Promise.all(this.#taken.map(({ text }) => text));
    return texts.filter((text) => pattern.test(text ?? '')).length;
  }

  /** Faults of all that was kept since the last look, and how many answers that were. */
  async faults(): Promise<{ answers: number; faults: string[] }> {
    const taken = this.#taken.splice(0);
    const faults = await Promise.all(taken.map((each) => faultsOf(each, this.#shapes)));
    return { answers: taken.length, faults: faults.flat() };
  }
}

const ALWAYS = ['openai-processing-ms', 'x-request-id'];
const WAITING = [429, 503];

async function faultsOf({ response, text }: Taken, shapes: Shapes): Promise<string[]> {
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
