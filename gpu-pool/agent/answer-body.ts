/** The body of an answer to the edge: events with the node's chunks, or the client's own answer, ready to be passed on. */
import { ReadyAnswer } from '../answers/ready-answer.ts';
import {
  ANSWER_HEADER,
  ANSWER_READY,
  type GenerateRequest,
  type NodeChunk,
  type NodeUsage,
} from '../protocol/schemas.ts';
import { toNodeError } from './request-error.ts';
import type { EngineRunResult } from './run-result.ts';

export interface AnswerBody {
  readonly headers: Readonly<Record<string, string>>;
  /** The text that may leave with these chunks; empty: none. */
  take(chunks: readonly NodeChunk[]): string;
  /** A sign that the agent lives, for an answer that has begun; empty: it has none. @param sign as an event for the client */
  alive(sign: boolean): string;
  /** The end. @param generated usage of the whole answer */
  end(result: EngineRunResult, generated: NodeUsage): string;
  /** Takes what the answer may cost. @returns the text that may leave now, and what it may cost; null: it has no bound */
  extend(heldNanoUsd: number): { text: string; heldNanoUsd: number } | null;
  /** Whether a part of the answer waits for a larger hold. */
  readonly isWaiting: boolean;
}

export function answerBody(request: GenerateRequest, startedAtMs: number, now: () => number): AnswerBody {
  const { answer, budget = null } = request;
  if (answer === undefined) return chunkBody;
  const ready = new ReadyAnswer(answer, budget, startedAtMs);
  return {
    headers: {
      'content-type': answer.stream ? EVENT_STREAM : 'application/x-ndjson',
      [ANSWER_HEADER]: ANSWER_READY,
    },
    take: (chunks) => ready.take(chunks, now()),
    alive: (sign) => ready.alive(now(), sign),
    end(result, generated) {
      const finish = { generated, nowMs: now() };
      if (result.kind === 'failed') return ready.fail(toNodeError(result.error).error, finish);
      // The engine may have ended its answer while a part of it waited until the edge stopped it.
      return ready.finish(ready.isWaiting ? 'aborted' : result.kind, finish);
    },
    extend(heldNanoUsd) {
      if (budget === null) return null;
      const text = ready.extend(heldNanoUsd, now());
      return { text, heldNanoUsd: ready.heldNanoUsd };
    },
    get isWaiting() {
      return ready.isWaiting;
    },
  };
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8';

const eventOf = (event: object): string => `data: ${JSON.stringify(event)}\n\n`;

/** Chunks, for an edge that writes the client's answer itself. */
const chunkBody: AnswerBody = {
  headers: { 'content-type': EVENT_STREAM },
  take: (chunks) => chunks.map(eventOf).join(''),
  alive: () => '',
  end(result, usage) {
    if (result.kind === 'failed') return eventOf(toNodeError(result.error));
    // The end of an aborted answer has its last usage.
    return `${result.kind === 'aborted' ? eventOf({ choices: [], usage }) : ''}data: [DONE]\n\n`;
  },
  extend: () => null,
  isWaiting: false,
};
