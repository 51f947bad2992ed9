/** A client of the edge that reads a stream as it comes, and keeps what arrived whatever becomes of it. */
import { R1 } from '../../../gpu-pool/local/local-nodes.ts';
import type { ClientObservation } from '../../laws/world.ts';
import { freshWord, user } from '../conformance/prompts.ts';
import type { Pair } from './pair.ts';

interface Body {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number; readonly cost_nano_usd: number } | null;
  readonly error?: { readonly code: string };
}

/** An answer that has ended in any way. */
export interface Ended {
  readonly status: number;
  readonly requestId: string | null;
  /** Thought and answer. */
  readonly text: string;
  /** [DONE], or the code of an error event, or `broken`: the connection broke. */
  readonly end: string;
  readonly finishReason: string | null;
  /** The tokens and the cost that the stream named; null: none. */
  readonly tokens: number | null;
  readonly costNanoUsd: number | null;
  readonly endedAtMs: number;
}

/** A stream whose head has arrived. */
export class Reading {
  readonly status: number;
  readonly requestId: string | null;
  readonly ended: Promise<Ended>;
  text = '';
  /** Events with text, each of at least one token. */
  events = 0;

  constructor(response: Response) {
    this.status = response.status;
    this.requestId = response.headers.get('x-request-id');
    this.ended = this.#read(response);
  }

  async #read(response: Response): Promise<Ended> {
    const bodies: Body[] = [];
    let end = 'broken';
    try {
      for await (const data of eventsOf(response)) {
        if (data === '[DONE]') end = '[DONE]';
        else bodies.push(this.#take(JSON.parse(data) as Body));
      }
    } catch {
      end = 'broken';
    }
    const usage = bodies.findLast((body) => body.usage)?.usage ?? null;
    const choices = bodies.flatMap((body) => body.choices ?? []);
    return {
      status: this.status,
      requestId: this.requestId,
      text: this.text,
      end: bodies.find(({ error }) => error)?.error?.code ?? end,
      finishReason: choices.findLast((choice) => choice.finish_reason)?.finish_reason ?? null,
      tokens: usage?.completion_tokens ?? null,
      costNanoUsd: usage?.cost_nano_usd ?? null,
      endedAtMs: Date.now(),
    };
  }

  #take(body: Body): Body {
    const text = (body.choices ?? [])
      .map(({ delta }) => `${delta?.reasoning_content ?? ''}${delta?.content ?? ''}`)
      .join('');
    this.text += text;
    if (text !== '') this.events += 1;
    return body;
  }
}

async function* eventsOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body!) {
    rest += decoder.decode(bytes, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop()!;
    for (const event of events) if (event.startsWith('data: ')) yield event.slice(6);
  }
}

/** Sends requests with the pair's key, and keeps for the laws what it has seen. */
export class Client {
  readonly observations: ClientObservation[] = [];
  readonly #pair: Pair;

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** Begins an answer of `tokens` tokens, a thought without an end to the made weights. */
  long(tokens: number): Promise<Reading> {
    return this.#begin({ messages: user(`${freshWord()} a long story`), max_tokens: tokens });
  }

  /** Asks for an answer of a few tokens. */
  async short(): Promise<Ended> {
    return (await this.#begin({ messages: user(`${freshWord()} hello`), max_tokens: 8 })).ended;
  }

  async #begin(body: object): Promise<Reading> {
    const { edge, apiKey, accountId } = this.#pair;
    const sentAtMs = Date.now();
    const response = await fetch(`${edge.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        ...{ model: R1, stream: true, stream_options: { include_usage: true }, temperature: 0.3 },
        ...body,
      }),
    });
    const reading = new Reading(response);
    void reading.ended.then((ended) => {
      const { requestId, status, costNanoUsd, endedAtMs } = ended;
      this.observations.push({
        ...{ accountId, requestId, status, costNanoUsd, sentAtMs, endedAtMs },
        ending: endingOf(ended),
        deliveredTokens: ended.tokens ?? reading.events,
      });
    });
    return reading;
  }
}

function endingOf({ status, end }: Ended): ClientObservation['ending'] {
  if (status !== 200) return 'refused';
  if (end === '[DONE]') return 'whole';
  return end === 'broken' ? 'broken' : 'error';
}
