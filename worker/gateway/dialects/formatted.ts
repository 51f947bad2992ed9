/** The formatters of an answer, both parts in one, for chunks that the edge formats itself. */
import {
  endMembers,
  streamEnding,
  streamFormatter,
  wholeFormatter,
} from '../../../gpu-pool/answers/formatters.ts';
import { OutputItems } from '../../../gpu-pool/answers/output-items.ts';
import { finishedResponse } from '../../../gpu-pool/answers/responses.ts';
import { toNodeUsage } from '../../domain/usage.ts';
import {
  type AnswerEnd,
  type AnswerEvents,
  type AnswerHead,
  answerFormat,
  type DialectRequest,
  type WholeAnswer,
} from './dialect.ts';

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
      if (format.dialect === 'responses')
        head.turn?.finished(finishedResponse(format, endOf(end), tail, output.items));
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
      const answer = { ...formatter.close(closingOf(end)), ...endMembers(format, endOf(end)) };
      head.turn?.finished(answer);
      return answer;
    },
  };
}

function closingOf({ usage }: AnswerEnd) {
  return { usage: toNodeUsage(usage), nowMs: Date.now() };
}

function endOf({ usage, charge, ranOut }: AnswerEnd) {
  return { usage: toNodeUsage(usage), chargeNanoUsd: charge, ranOut };
}
