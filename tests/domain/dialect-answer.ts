/** An answer in any dialect, made from a node's chunks by the edge's own steps, without an edge around them. */

import { OrderedCalls } from '../../gpu-pool/answers/ordered-calls.ts';
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import { fromNodeUsage, NO_USAGE } from '../../worker/domain/usage.ts';
import type { DialectName } from '../../worker/gateway/dialects/index.ts';
import { readDialectRequest } from './dialect-request.ts';
import type { AnswerEnd } from './formatted-answer.ts';
import { eventsOf, wholeOf } from './formatted-answer.ts';

export const REQUEST_ID = 'req_01J00000000000000000000000';

export interface AnswerOptions {
  /** Fields of the request beside the message and the model. */
  readonly body?: object;
  readonly ranOut?: AnswerEnd['ranOut'];
  /** A sign of life follows every chunk. */
  readonly alive?: boolean;
}

/** The events of a streamed answer. */
export async function streamedText(
  name: DialectName,
  chunks: readonly NodeChunk[],
  options: AnswerOptions = {},
): Promise<string> {
  const { dialectRequest, head } = await dialectOf(name, { ...options.body, stream: true });
  const events = eventsOf(dialectRequest, head);
  const sign = () => (options.alive ? events.alive() : '');
  const early = sign();
  const written = inOrder(chunks).map((chunk) => events.chunk(chunk) + sign());
  return [early, ...written, events.end(endOf(chunks, options))].join('');
}

/** The object of an answer that is not streamed, as JSON has it. */
export async function wholeObject(
  name: DialectName,
  chunks: readonly NodeChunk[],
  options: AnswerOptions = {},
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
): Promise<any> {
  const { dialectRequest, head } = await dialectOf(name, options.body ?? {});
  const whole = wholeOf(dialectRequest, head);
  for (const chunk of inOrder(chunks)) whole.chunk(chunk);
  return JSON.parse(JSON.stringify(whole.end(endOf(chunks, options))));
}

async function dialectOf(name: DialectName, body: object) {
  const dialectRequest = await readDialectRequest(name, body);
  const { ignored } = dialectRequest.request;
  const head = {
    requestId: REQUEST_ID,
    createdAtMs: 1_700_000_000_123,
    modelId: 'm',
    revision: 'r',
    ignored,
  };
  return { dialectRequest, head };
}

function inOrder(chunks: readonly NodeChunk[]): NodeChunk[] {
  const calls = new OrderedCalls((choice, call) => `call_${choice}_${call}`);
  const ordered = chunks.map((chunk) => calls.take(chunk));
  return [...ordered, calls.end()].filter((chunk) => chunk !== null);
}

function endOf(chunks: readonly NodeChunk[], { ranOut = null }: AnswerOptions): AnswerEnd {
  const usage = chunks.at(-1)?.usage;
  return { usage: usage ? fromNodeUsage(usage) : NO_USAGE, charge: nanoUsd(12_345), ranOut };
}

const USAGE = { prompt_tokens: 9, cached_tokens: 3, completion_tokens: 5, reasoning_tokens: 2 };

/** A chunk of the first choice. */
export function nodeChunk(
  delta: NodeChunk['choices'][number]['delta'],
  finish_reason: NodeChunk['choices'][number]['finish_reason'] = null,
): NodeChunk {
  return { choices: [{ index: 0, delta, finish_reason }], usage: USAGE };
}
