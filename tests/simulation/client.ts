/** One request as its client makes it: sends, reads at its own pace, may disconnect, and records what it saw. */
import { withoutMarks } from '../../gpu-pool/answers/marks.ts';
import type { ClientObservation } from '../laws/world.ts';
import { enter } from './context.ts';
import type { Isolate } from './isolate.ts';
import { WORLD } from './life.ts';
import type { SimAbortController } from './platform/abort.ts';
import type { SimResponse } from './platform/http.ts';
import type { Account } from './population.ts';
import { tokensIn } from './prompt.ts';
import type { Universe } from './universe.ts';

/** How a client sends its request and reads the answer. */
export interface ClientBehavior {
  /** The client disconnects after this many chunks of the answer; null: it does not. */
  readonly leaveAfterChunks: number | null;
  /** The client disconnects after this long, whatever has arrived; null: it does not. */
  readonly leaveAfterMs: number | null;
  /** The pause after each chunk before the client reads on. */
  readonly pauseMs: number;
  /** The time between the two halves of the request's body. */
  readonly uploadMs: number;
}

/** A client pauses this often at most: a chunk may be one token of thousands, and a run waits 400 s for its last client. */
const PAUSES_MAX = 100;

/** A client that sends its body at once, never pauses and reads to the end. */
export const PATIENT: ClientBehavior = {
  leaveAfterChunks: null,
  leaveAfterMs: null,
  pauseMs: 0,
  uploadMs: 0,
};

export interface ClientRequest {
  readonly account: Account;
  readonly keyIndex: number;
  readonly body: string;
  readonly idempotencyKey: string | null;
  readonly behavior: ClientBehavior;
}

type Observations = { -readonly [Key in keyof ClientObservation]: ClientObservation[Key] };

export class Client {
  readonly seen: Observations;
  readonly #universe: Universe;
  readonly #request: ClientRequest;
  readonly #onByte: (requestId: string) => void;
  readonly #onEnd: (seen: ClientObservation) => void;
  readonly #decoder = new TextDecoder();
  readonly #lines = new AnswerLines();
  #abort: SimAbortController | null = null;
  #reader: ReturnType<NonNullable<SimResponse['body']>['getReader']> | null = null;
  #isolate: Isolate | null = null;
  #stopListening: () => void = () => {};
  #text = '';
  #chunks = 0;
  #ended = false;

  constructor(
    universe: Universe,
    request: ClientRequest,
    callbacks: {
      /** Called when a byte of an answer has left the edge. */
      onByte(requestId: string): void;
      onEnd(seen: ClientObservation): void;
    },
  ) {
    this.#universe = universe;
    this.#request = request;
    this.#onByte = callbacks.onByte;
    this.#onEnd = callbacks.onEnd;
    const { account, keyIndex, idempotencyKey } = request;
    this.seen = {
      accountId: account.id,
      keyId: account.keys[keyIndex]!.id,
      requestId: null,
      status: null,
      ending: 'broken',
      idempotencyKey,
      sentAtMs: universe.nowMs,
    };
  }

  send(): void {
    const { account, keyIndex, body, idempotencyKey, behavior } = this.#request;
    const headers: Record<string, string> = {
      authorization: `Bearer ${account.keys[keyIndex]!.key}`,
      'content-type': 'application/json',
    };
    if (idempotencyKey !== null) headers['idempotency-key'] = idempotencyKey;
    const call = { method: 'POST', path: '/v1/chat/completions', headers, body, uploadMs: behavior.uploadMs };
    this.#abort = this.#universe.toEdge(call, {
      answered: (response, isolate) => this.#answered(response, isolate),
      broken: () => this.#end('broken'),
    });
    if (behavior.leaveAfterMs !== null)
      this.#universe.scheduler.after(behavior.leaveAfterMs, WORLD, () => this.leave());
  }

  #answered(response: SimResponse, isolate: Isolate): void {
    if (this.#ended) return void response.body?.cancel().catch(() => undefined);
    this.seen.status = response.status;
    this.seen.requestId = response.headers.get('x-request-id');
    this.seen.replayed = response.headers.has('idempotent-replayed');
    this.#isolate = isolate;
    this.#stopListening = isolate.whileReading(() => this.#end('broken'));
    this.#reader = response.body!.getReader();
    this.#read();
  }

  #read(): void {
    if (!this.#isolate!.life.alive) return;
    enter(this.#isolate!.life);
    this.#reader!.read().then(
      (read) => (read.done ? this.#afterLatency(0, () => this.#end(null)) : this.#receive(read.value)),
      () => this.#afterLatency(0, () => this.#end('broken')),
    );
  }

  #receive(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    const { status, requestId, replayed } = this.seen;
    const isAnswer = this.#lines.take(text);
    if (status === 200 && !replayed && isAnswer) this.#onByte(requestId!);
    // a comment causes no pause: a slow client's socket would have buffered it
    const isPaused = isAnswer && this.#chunks < PAUSES_MAX;
    const pauseMs = isPaused ? this.#request.behavior.pauseMs : 0;
    this.#afterLatency(pauseMs, () => {
      if (this.#ended) return;
      this.#text += text;
      this.#chunks += 1;
      if (this.#chunks === this.#request.behavior.leaveAfterChunks) return this.leave();
      this.#read();
    });
  }

  #afterLatency(pauseMs: number, run: () => void): void {
    const { scheduler, faults } = this.#universe;
    scheduler.after(faults.latencyMs() + pauseMs, WORLD, run);
  }

  leave(): void {
    if (this.#ended) return;
    this.#end('left');
    this.#universe.scheduler.after(this.#universe.faults.latencyMs(), WORLD, () => {
      this.#abort!.abort();
      if (this.#isolate?.life.alive) void this.#reader!.cancel().catch(() => undefined);
    });
  }

  /** @param ending null: the text of the answer tells how it ended */
  #end(ending: ClientObservation['ending'] | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopListening();
    const { seen } = this;
    const text = withoutMarks(this.#text);
    seen.ending = ending ?? endingOf(text, seen.status!);
    seen.text = text;
    seen.deliveredTokens = tokensIn(text);
    seen.costNanoUsd = costIn(text);
    seen.endedAtMs = this.#universe.nowMs;
    this.#universe.note(
      `client ${seen.ending} ${seen.status} ${seen.deliveredTokens}`,
      seen.requestId ?? seen.accountId,
    );
    this.#onEnd(seen);
  }
}

/** Comments and blank lines of a stream are not part of an answer. */
class AnswerLines {
  #isComment = false;
  #isNewLine = true;

  /** @returns whether the next text of a stream holds a part of the answer */
  take(text: string): boolean {
    let isAnswer = false;
    for (const character of text) {
      if (this.#isNewLine) this.#isComment = character === ':';
      this.#isNewLine = character === '\n';
      isAnswer ||= !this.#isComment && character.trim() !== '';
    }
    return isAnswer;
  }
}

function endingOf(text: string, status: number): ClientObservation['ending'] {
  if (status !== 200) return 'refused';
  if (text.includes('"error":{')) return 'error';
  if (!text.includes('data: [DONE]') && !text.includes('"object":"chat.completion"')) return 'broken';
  return text.includes('"tollgate":{"stop"') ? 'cut' : 'whole';
}

function costIn(text: string): number | null {
  const cost = /"cost_nano_usd":(\d+)/.exec(text);
  return cost ? Number(cost[1]) : null;
}
