/** The formatters of an answer, the agent's part and the edge's in one. */
import {
  endMembers,
  streamEnding,
  streamFormatter,
  wholeFormatter,
} from '../../gpu-pool/answers/formatters.ts';
import { OutputItems } from '../../gpu-pool/answers/output-items.ts';
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import type { HoldBound } from '../../worker/domain/hold.ts';
import type { NanoUsd } from '../../worker/domain/money.ts';
import type { Usage } from '../../worker/domain/usage.ts';
import { toNodeUsage } from '../../worker/domain/usage.ts';
import { type AnswerHead, answerFormat, type DialectRequest } from '../../worker/gateway/dialects/dialect.ts';
import type { ErrorEnvelope } from '../../worker/http/api-error.ts';

/** How an answer ended. */
export interface AnswerEnd {
  readonly usage: Usage;
  readonly charge: NanoUsd;
  readonly ranOut: HoldBound | null;
}

/** Formats an answer as server-sent events. */
export interface AnswerEvents {
  chunk(chunk: NodeChunk): string;
  alive(): string;
  end(end: AnswerEnd): string;
  failed(error: ErrorEnvelope['error']): string;
}

/** Assembles an answer into one object. */
export interface WholeAnswer {
  chunk(chunk: NodeChunk): void;
  end(end: AnswerEnd): object;
}

/** Formats a streamed answer. */
export function eventsOf(dialectRequest: DialectRequest, head: AnswerHead): AnswerEvents {
  const format = answerFormat(dialectRequest, head);
  const formatter = streamFormatter(format);
  const ending = streamEnding(format);
  const output = new OutputItems();
  const taken = (text: string) => {
    if (format.dialect === 'responses') output.take(text);
    return text;
  };
  return {
    chunk: (chunk) => taken(formatter.chunk(chunk)),
    alive: () => formatter.alive(),
    end(end) {
      const { text, tail } = formatter.close(closingOf(end));
      taken(text);
      return text + ending.end(endOf(end), tail, output.items);
    },
    failed: (error) => ending.failed(error, formatter.events),
  };
}

/** Formats an answer that is sent as one object. Each attempt at a node gets a new one. */
export function wholeOf(dialectRequest: DialectRequest, head: AnswerHead): WholeAnswer {
  const format = answerFormat(dialectRequest, head);
  const formatter = wholeFormatter(format);
  return {
    chunk: (chunk) => formatter.chunk(chunk),
    end(end) {
      return { ...formatter.close(closingOf(end)), ...endMembers(format, endOf(end)) };
    },
  };
}

function closingOf({ usage }: AnswerEnd) {
  return { usage: toNodeUsage(usage), nowMs: Date.now() };
}

function endOf({ usage, charge, ranOut }: AnswerEnd) {
  return { usage: toNodeUsage(usage), chargeNanoUsd: charge, ranOut };
}
