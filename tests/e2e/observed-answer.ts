/** A client's observation of an answer for the law checker: how it ended, how many tokens arrived, which cost it stated. */
import type { ClientObservation } from '../laws/world.ts';
import type { RawAnswer } from './raw-client.ts';

type ObservedAnswer = Required<
  Pick<ClientObservation, 'requestId' | 'status' | 'ending' | 'deliveredTokens' | 'costNanoUsd' | 'replayed'>
>;

interface Usage {
  readonly completion_tokens: number;
  readonly cost_nano_usd: number;
}

interface Body {
  readonly error?: { readonly code: string };
  readonly choices?: readonly { readonly delta?: Delta; readonly finish_reason?: string | null }[];
  readonly usage?: Usage | null;
  readonly tollgate?: { readonly stop?: string };
}

type Delta = Readonly<Partial<Record<'content' | 'reasoning_content', string | null>>>;

/** Reads the answer as its client would: an event that was cut off counts for nothing. */
export function observedAnswer(answer: RawAnswer): ObservedAnswer {
  const { status, headers, body } = answer;
  const seen = {
    requestId: headers.get('x-request-id') ?? null,
    status,
    replayed: headers.get('idempotent-replayed') === 'true',
  };
  if (status !== null && status !== 200)
    return { ...seen, ending: 'refused', deliveredTokens: 0, costNanoUsd: null };
  const streamed = headers.get('content-type')?.startsWith('text/event-stream') ?? false;
  return { ...seen, ...(streamed ? ofStream(answer) : ofWhole(body, answer)) };
}

function ofStream(answer: RawAnswer) {
  // the text after the last blank line is empty or an event that was cut off
  const events = answer.body
    .split('\n\n')
    .slice(0, -1)
    .filter((event) => event.startsWith('data: '));
  const parts = events
    .map((event) => event.slice(6))
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as Body);
  const last = parts.findLast(({ usage }) => usage)?.usage ?? null;
  const deltas = parts.flatMap(({ choices }) => choices ?? []).filter(({ delta }) => hasText(delta));
  return {
    ending: endingOf(answer, {
      done: events.at(-1) === 'data: [DONE]',
      failed: parts.some(({ error }) => error),
      cut: parts.some(({ tollgate }) => tollgate?.stop),
    }),
    // an event carries at least one token
    deliveredTokens: deltas.length,
    costNanoUsd: last?.cost_nano_usd ?? null,
  };
}

function ofWhole(body: string, answer: RawAnswer) {
  const part = answer.complete ? (JSON.parse(body) as Body) : null;
  return {
    ending: endingOf(answer, {
      done: part !== null,
      failed: part?.error !== undefined,
      cut: part?.tollgate?.stop !== undefined,
    }),
    deliveredTokens: part?.usage?.completion_tokens ?? 0,
    costNanoUsd: part?.usage?.cost_nano_usd ?? null,
  };
}

function endingOf(
  { left }: RawAnswer,
  is: { done: boolean; failed: boolean; cut: boolean },
): ClientObservation['ending'] {
  if (is.failed) return 'error';
  if (is.done) return is.cut ? 'cut' : 'whole';
  return left ? 'left' : 'broken';
}

function hasText(delta: Delta | undefined): boolean {
  return Boolean(delta?.content) || Boolean(delta?.reasoning_content);
}

/** A decimal amount of US dollars as integer nano-USD. */
export function nano(amount: string): number {
  const [whole = '0', fraction = ''] = amount.split('.');
  return Number(whole) * 1e9 + Number(fraction.padEnd(9, '0'));
}
