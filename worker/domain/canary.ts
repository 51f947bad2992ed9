/**
 * The canary: a known prompt that is sent to a node twice before any customer's request is, and tasks beside it
 * (canary-tasks.ts). This file holds the request, the checks on its answers and on the node's receipt, and the schedule of
 * further attempts after a failure.
 */
import type { GenerateRequest, NODE_ERROR_CODES, Receipt } from '../../gpu-pool/protocol/schemas.ts';
import type { CanaryText } from './canary-text.ts';
import { asModelWants, type CanaryModel, thoughtExpected } from './canary-thinking.ts';
import { promptTokenBounds } from './hold.ts';
import { newId } from './ids.ts';
import { fromNodeUsage, type Usage } from './usage.ts';

/** The account id in a canary's request claims. It names no account, so no Wallet is ever called for it. */
export const CANARY_SUBJECT = 'canary';

export type CanaryFault =
  | 'unreachable'
  /** The answer was a redirect, or an error that is not in the agent's format. */
  | 'not_an_agent'
  | `refused_${(typeof NODE_ERROR_CODES)[number]}`
  | 'first_token_late'
  /** The stream ended without [DONE], stalled, did not end, or broke the protocol. */
  | 'broken_off'
  /** The prompt token count is outside what this prompt can have. */
  | 'prompt_tokens'
  /** The two answers counted the same prompt differently. */
  | 'prompt_differs'
  /** The second answer reported no cached tokens, although the first had just filled the prefix cache. */
  | 'nothing_cached'
  | 'no_reasoning'
  /** A model that never thinks answered with reasoning: a parser took the answer for a thought. */
  | 'only_reasoning'
  /** A tool call that the request demanded did not come as a call. */
  | 'no_tool_call'
  /** The answer does not follow the JSON schema of the request. */
  | 'not_json'
  /** The engine takes no prompt as long as the longest that is sold. */
  | 'context_short'
  /** No completion tokens, more than max_tokens, or more reasoning tokens than completion tokens. */
  | 'completion_tokens'
  | 'receipt_differs'
  | 'receipt_missing'
  /** The edge's isolate ended during the attempt. */
  | 'interrupted'
  | 'engine_changed'
  /** The operator changed the node's state during the attempt. */
  | 'withdrawn';

/**
 * One attempt: the prompt twice, then the tasks (canary-tasks.ts). All answers are checked; usage and receipt are those of
 * the second.
 */
export interface CanaryAttempt {
  /** Id of the second request. */
  readonly requestId: string;
  readonly nodeId: string;
  readonly atMs: number;
  /** Usage as the edge counted it; null: no complete answer came. */
  readonly usage: Usage | null;
  readonly fault: CanaryFault | null;
  /** When a matching receipt arrived; null: not yet. */
  readonly passedAtMs: number | null;
}

/** An open attempt has neither failed nor passed: an answer or its receipt is still awaited. */
export function isOpen({ fault, passedAtMs }: Pick<CanaryAttempt, 'fault' | 'passedAtMs'>): boolean {
  return fault === null && passedAtMs === null;
}

/** Deadline of a whole answer. Even 64 tokens at one a second, which is far too slow, would only just miss it. */
export const ANSWER_MS_MAX = 60_000;
/** Deadline of an answer to a task (canary-tasks.ts). */
export const TASK_MS_MAX = 150_000;
/** Longest time that an attempt may stay open: two answers, two tasks, and two minutes for the receipt. */
export const OPEN_MS_MAX = 2 * ANSWER_MS_MAX + 2 * TASK_MS_MAX + 120_000;

/** The fault of an attempt that has been open for too long; null while it may still end. */
export function overdueFault(attempt: CanaryAttempt, nowMs: number): CanaryFault | null {
  if (!isOpen(attempt) || nowMs - attempt.atMs <= OPEN_MS_MAX) return null;
  return attempt.usage === null ? 'interrupted' : 'receipt_missing';
}

/** An attempt as of `nowMs`: when it is overdue it has its fault, even if that is not stored yet. */
export function asOf(attempt: CanaryAttempt, nowMs: number): CanaryAttempt {
  return { ...attempt, fault: overdueFault(attempt, nowMs) ?? attempt.fault };
}

/** Pause after the first failure; it doubles with each further one, up to ten minutes. */
const BACKOFF_MS = 15_000;
const BACKOFF_MS_MAX = 600_000;
/** How many attempts to read for the back-off: with this many failures it is at its maximum. */
export const ATTEMPTS_CONSIDERED = 1 + Math.ceil(Math.log2(BACKOFF_MS_MAX / BACKOFF_MS));

/**
 * When the next attempt may begin; null while one is open.
 * @param attempts attempts at one node, newest first
 * @param sinceMs when the node entered its present state; earlier failures do not count
 */
export function nextAttemptAtMs(attempts: readonly CanaryAttempt[], sinceMs: number): number | null {
  const last = attempts[0];
  if (last && isOpen(last)) return null;
  const failed = attempts.filter(({ fault, atMs }) => fault !== null && atMs >= sinceMs).length;
  if (!last || failed === 0) return sinceMs;
  return last.atMs + Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (failed - 1));
}

/** The prompt is longer than two cache pages of 64 tokens, so that the prefix cache has something to find. */
const PROMPT = `A canary is a small yellow bird that feels bad air long before a person does. Miners took one along in a
cage, and as long as it sang they went on with their work. When it fell silent they turned round, climbed back to the
daylight, and asked later what had been wrong below. Lamps, fans and instruments came in time, each better than the
one before: they measured what could not be smelled, wrote it down, and rang a bell at a limit that somebody had set
with care. The birds were given away or kept as company, and the last of them left the pits in 1986. The word has
stayed for anything small that is sent ahead, where a failure costs little, to learn whether the way is safe for
those who come after it. What made a canary a good sign, and what made it a bad one? Answer in two sentences.`;

const MESSAGES = [{ role: 'user' as const, content: PROMPT }];

/** 64 tokens are enough to check the counts, and even a slow node generates them in seconds. */
export const CANARY_REQUEST: GenerateRequest = {
  messages: MESSAGES,
  max_tokens: 64,
  temperature: 0,
  // "canary" in ASCII, padded: no customer has this salt, so the prefix cache entries stay out of customers' reach.
  cache_salt: '63616e61727900000000000000000000',
};

const PROMPT_BOUNDS = promptTokenBounds(new TextEncoder().encode(PROMPT).length, MESSAGES.length);

export const CANARY_PROMPT_TOKENS_MAX = PROMPT_BOUNDS.max;

export interface CanaryAnswer {
  /** Usage of the last chunk. */
  readonly usage: Usage;
  readonly text: CanaryText;
}

/** The canary request for a model, which is to think where it can. */
export function canaryRequest(model: CanaryModel): GenerateRequest {
  return asModelWants(CANARY_REQUEST, model, true);
}

/** The first fault in a node's two answers to the canary request; null: none that the edge can see. */
export function faultInAnswers(
  [first, second]: readonly [CanaryAnswer, CanaryAnswer],
  model: CanaryModel,
): CanaryFault | null {
  const ownFault = answerFault(first, model) ?? answerFault(second, model);
  if (ownFault !== null) return ownFault;
  if (first.usage.promptTokens !== second.usage.promptTokens) return 'prompt_differs';
  return second.usage.cachedTokens > 0 ? null : 'nothing_cached';
}

function answerFault({ usage, text }: CanaryAnswer, model: CanaryModel): CanaryFault | null {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage;
  if (promptTokens < PROMPT_BOUNDS.min || promptTokens > PROMPT_BOUNDS.max) return 'prompt_tokens';
  if (cachedTokens > promptTokens) return 'prompt_tokens';
  if (completionTokens < 1 || completionTokens > CANARY_REQUEST.max_tokens) return 'completion_tokens';
  if (reasoningTokens > completionTokens) return 'completion_tokens';
  const isExpected = thoughtExpected(model);
  if (isExpected === (text.reasoning !== '')) return null;
  return isExpected ? 'no_reasoning' : 'only_reasoning';
}

/** Whether the node's receipt has the same counts as the edge, which read the answer. */
export function receiptAgrees(usage: Usage, receipt: Pick<Receipt, 'outcome' | 'usage'>): boolean {
  const counted = fromNodeUsage(receipt.usage);
  return (
    receipt.outcome === 'finished' &&
    (Object.keys(usage) as (keyof Usage)[]).every((kind) => usage[kind] === counted[kind])
  );
}

/** Ids of an attempt's requests: as long as a customer's request id, with a prefix of their own. */
export function newCanaryIds(nowMs: number): {
  firstId: string;
  secondId: string;
  taskIds: readonly [string, string];
} {
  const suffix = newId('req', nowMs).slice('req'.length);
  const id = (position: number) => `canary_${position}${suffix}`;
  return { firstId: id(1), secondId: id(2), taskIds: [id(3), id(4)] };
}

/** The attempt (by its second request's id) that a canary request belongs to; null: not a canary's id. */
export function parseCanaryId(id: string): { secondId: string; isSecond: boolean } | null {
  const parts = /^canary_([1-4])(_[0-9a-hjkmnp-tv-z]{26})$/.exec(id);
  return parts && { secondId: `canary_2${parts[2]}`, isSecond: parts[1] === '2' };
}

/** Id of a status page probe: it sends the canary's request, but decides nothing about the node. */
export function newProbeId(nowMs: number): string {
  return `probe${newId('req', nowMs).slice('req'.length)}`;
}

export function isProbeId(id: string): boolean {
  return /^probe_[0-9a-hjkmnp-tv-z]{26}$/.test(id);
}
