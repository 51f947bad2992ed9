/** One request as its client makes it: asks, reads at its own pace, leaves when it likes, and remembers what it saw. */
import type { ClientWitness } from '../laws/world.ts';
import { enter } from './context.ts';
import type { Isolate } from './isolate.ts';
import type { SimAbortController } from './platform/abort.ts';
import type { SimResponse } from './platform/http.ts';
import type { Account } from './population.ts';
import { tokensIn } from './prompt.ts';
import { WORLD } from './scheduler.ts';
import type { Answering, Universe } from './universe.ts';

/** What a client does beside asking. */
export interface Manner {
  /** goes after so many pieces of the answer; null: stays */
  readonly leaveAtPiece: number | null;
  /** goes after so long, whatever came; null: stays */
  readonly leaveAfterMs: number | null;
  /** waits so long before it reads on */
  readonly pauseMs: number;
  readonly uploadMs: number;
}

/** A piece may be one token of thousands, and the world waits 400 s for its last client (run.ts). */
const PAUSES_MAX = 100;

export const PATIENT: Manner = { leaveAtPiece: null, leaveAfterMs: null, pauseMs: 0, uploadMs: 0 };

export interface Question {
  readonly account: Account;
  readonly keyIndex: number;
  readonly body: string;
  readonly idempotencyKey: string | null;
  readonly manner: Manner;
}

type Seen = { -readonly [Key in keyof ClientWitness]: ClientWitness[Key] };

export class Client {
  readonly seen: Seen;
  readonly #universe: Universe;
  readonly #question: Question;
  readonly #onByte: (requestId: string) => void;
  readonly #onEnd: (seen: ClientWitness) => void;
  readonly #decoder = new TextDecoder();
  #leaving: SimAbortController | null = null;
  #reader: ReturnType<NonNullable<SimResponse['body']>['getReader']> | null = null;
  #isolate: Isolate | null = null;
  #stopListening: () => void = () => {};
  #text = '';
  #pieces = 0;
  #ended = false;

  constructor(
    universe: Universe,
    question: Question,
    heard: {
      /** a byte of an answer has left the edge */
      onByte(requestId: string): void;
      onEnd(seen: ClientWitness): void;
    },
  ) {
    this.#universe = universe;
    this.#question = question;
    this.#onByte = heard.onByte;
    this.#onEnd = heard.onEnd;
    const { account, keyIndex, idempotencyKey } = question;
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

  ask(): void {
    const { account, keyIndex, body, idempotencyKey, manner } = this.#question;
    const headers: Record<string, string> = {
      authorization: `Bearer ${account.keys[keyIndex]!.key}`,
      'content-type': 'application/json',
    };
    if (idempotencyKey !== null) headers['idempotency-key'] = idempotencyKey;
    const call = { method: 'POST', path: '/v1/chat/completions', headers, body, uploadMs: manner.uploadMs };
    this.#leaving = this.#universe.toEdge(call, {
      answered: (response, answering) => this.#answered(response, answering),
      broken: () => this.#end('broken'),
    });
    if (manner.leaveAfterMs !== null)
      this.#universe.scheduler.after(manner.leaveAfterMs, WORLD, () => this.leave());
  }

  #answered(response: SimResponse, { isolate }: Answering): void {
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
      (read) => (read.done ? this.#arrives(0, () => this.#end(null)) : this.#piece(read.value)),
      () => this.#arrives(0, () => this.#end('broken')),
    );
  }

  #piece(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    const { status, requestId, replayed } = this.seen;
    // comments of a stream and blank lines are no part of an answer
    const isAnswer = text.replaceAll(': keep-alive\n\n', '').trim() !== '';
    if (status === 200 && !replayed && isAnswer) this.#onByte(requestId!);
    // whoever reads slowly has what only keeps the connection alive at once, as a socket gives it
    const isPaused = isAnswer && this.#pieces < PAUSES_MAX;
    const pauseMs = isPaused ? this.#question.manner.pauseMs : 0;
    this.#arrives(pauseMs, () => {
      if (this.#ended) return;
      this.#text += text;
      this.#pieces += 1;
      if (this.#pieces === this.#question.manner.leaveAtPiece) return this.leave();
      this.#read();
    });
  }

  #arrives(pauseMs: number, run: () => void): void {
    const { scheduler, faults } = this.#universe;
    scheduler.after(faults.latencyMs() + pauseMs, WORLD, run);
  }

  leave(): void {
    if (this.#ended) return;
    this.#end('left');
    this.#universe.scheduler.after(this.#universe.faults.latencyMs(), WORLD, () => {
      this.#leaving!.abort();
      if (this.#isolate?.life.alive) void this.#reader!.cancel().catch(() => undefined);
    });
  }

  /** @param ending null: the answer says how it ended */
  #end(ending: ClientWitness['ending'] | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopListening();
    const { seen } = this;
    seen.ending = ending ?? endingOf(this.#text, seen.status!);
    seen.text = this.#text;
    seen.deliveredTokens = tokensIn(this.#text);
    seen.costNanoUsd = costIn(this.#text);
    seen.endedAtMs = this.#universe.nowMs;
    this.#universe.note(
      `client ${seen.ending} ${seen.status} ${seen.deliveredTokens}`,
      seen.requestId ?? seen.accountId,
    );
    this.#onEnd(seen);
  }
}

function endingOf(text: string, status: number): ClientWitness['ending'] {
  if (status !== 200) return 'refused';
  if (text.includes('"error":{')) return 'error';
  if (!text.includes('data: [DONE]') && !text.includes('"object":"chat.completion"')) return 'broken';
  return text.includes('"tollgate":{"stop"') ? 'cut' : 'whole';
}

function costIn(text: string): number | null {
  const cost = /"cost":"(\d+)\.(\d+)"/.exec(text);
  return cost ? Number(cost[1]) * 1_000_000_000 + Number(cost[2]!.padEnd(9, '0')) : null;
}
