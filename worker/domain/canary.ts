/**
 * The canary: a known prompt, asked twice of a node before any customer is sent there. What is asked, which answers
 * will do, which receipts agree with them, and when a node that failed is tried again.
 */
import type { GenerateRequest, NODE_ERROR_CODES, Receipt } from '../../gpu-pool/protocol/schemas.ts';
import { promptTokenBounds } from './hold.ts';
import { newId } from './ids.ts';
import { fromNodeUsage, type Usage } from './usage.ts';

/** `sub` of its request tokens, where a customer's has the account: no Wallet is ever called by this name. */
export const CANARY_SUBJECT = 'canary';

export type CanaryFault =
  | 'unreachable'
  /** a redirect, or a refusal that is not in the agent's words */
  | 'not_an_agent'
  | `refused_${(typeof NODE_ERROR_CODES)[number]}`
  | 'first_token_late'
  /** no [DONE]: cut, silent, endless, or outside the protocol */
  | 'broken_off'
  /** more or fewer tokens than this prompt can have */
  | 'prompt_tokens'
  /** the same prompt counted in two ways */
  | 'prompt_differs'
  /** the second answer found nothing of the first in the prefix cache, or did not say so */
  | 'nothing_cached'
  | 'no_reasoning'
  /** none at all, more than asked for, or more reasoning than answer and reasoning together */
  | 'completion_tokens'
  | 'receipt_differs'
  | 'receipt_missing'
  /** the edge ended in the middle of it */
  | 'interrupted'
  | 'engine_changed'
  /** the operator had other plans */
  | 'withdrawn';

/** One try: two requests, of which the second counts. */
export interface CanaryTry {
  /** of the second request */
  readonly requestId: string;
  readonly nodeId: string;
  readonly atMs: number;
  /** what the edge counted; null where no whole answer came */
  readonly usage: Usage | null;
  readonly fault: CanaryFault | null;
  /** when the receipt said the same */
  readonly passedAtMs: number | null;
}

/** Neither failed nor passed: it is being asked, or its receipt is waited for. */
export function isOpen({ fault, passedAtMs }: Pick<CanaryTry, 'fault' | 'passedAtMs'>): boolean {
  return fault === null && passedAtMs === null;
}

/** Two whole answers (worker/fleet/canary.ts), and two minutes for the receipt. */
export const OPEN_MS_MAX = 240_000;

/** Why a try that was left open so long has failed; null while it may still end. */
export function overdueFault(attempt: CanaryTry, nowMs: number): CanaryFault | null {
  if (!isOpen(attempt) || nowMs - attempt.atMs <= OPEN_MS_MAX) return null;
  return attempt.usage === null ? 'interrupted' : 'receipt_missing';
}

/** A try as it stands at an instant, whoever has or has not noticed that it is overdue. */
export function asOf(attempt: CanaryTry, nowMs: number): CanaryTry {
  return { ...attempt, fault: overdueFault(attempt, nowMs) ?? attempt.fault };
}

const BACKOFF_MS = 15_000;
const BACKOFF_MS_MAX = 600_000;
/** Tries that decide when the next one is due: with more of them it is no later. */
export const TRIES_THAT_COUNT = 1 + Math.ceil(Math.log2(BACKOFF_MS_MAX / BACKOFF_MS));

/**
 * When the next try may begin; null while one is open.
 * @param tries of one node, the newest first
 * @param sinceMs when the node got into its state: what failed before does not count
 */
export function nextTryAtMs(tries: readonly CanaryTry[], sinceMs: number): number | null {
  const last = tries[0];
  if (last && isOpen(last)) return null;
  const failed = tries.filter(({ fault, atMs }) => fault !== null && atMs >= sinceMs).length;
  if (!last || failed === 0) return sinceMs;
  return last.atMs + Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (failed - 1));
}

/** Longer than two pages of 64 tokens, so that the prefix cache has something to find. */
const PROMPT = `A canary is a small yellow bird that feels bad air long before a person does. Miners took one along in a
cage, and as long as it sang they went on with their work. When it fell silent they turned round, climbed back to the
daylight, and asked later what had been wrong below. Lamps, fans and instruments came in time, each better than the
one before: they measured what could not be smelled, wrote it down, and rang a bell at a limit that somebody had set
with care. The birds were given away or kept as company, and the last of them left the pits in 1986. The word has
stayed for anything small that is sent ahead, where a failure costs little, to learn whether the way is safe for
those who come after it. What made a canary a good sign, and what made it a bad one? Answer in two sentences.`;

const MESSAGES = [{ role: 'user' as const, content: PROMPT }];

/** Enough tokens to see how they are counted; a slow node makes them in seconds. */
export const CANARY_REQUEST: GenerateRequest = {
  messages: MESSAGES,
  max_tokens: 64,
  temperature: 0,
  // "canary" in ASCII: what it leaves in the prefix cache no customer's salt can find
  cache_salt: '63616e61727900000000000000000000',
};

const PROMPT_BOUNDS = promptTokenBounds(new TextEncoder().encode(PROMPT).length, MESSAGES.length);

export interface CanaryAnswer {
  /** as its last chunk had it */
  readonly usage: Usage;
  /** some of it came as reasoning */
  readonly reasoned: boolean;
}

/** What is wrong with two answers of a node to CANARY_REQUEST; null: nothing that the edge can see. */
export function answersFault(
  [first, second]: readonly [CanaryAnswer, CanaryAnswer],
  model: { readonly reasoning: boolean },
): CanaryFault | null {
  const alone = answerFault(first, model) ?? answerFault(second, model);
  if (alone !== null) return alone;
  if (first.usage.promptTokens !== second.usage.promptTokens) return 'prompt_differs';
  return second.usage.cachedTokens > 0 ? null : 'nothing_cached';
}

function answerFault(
  { usage, reasoned }: CanaryAnswer,
  model: { readonly reasoning: boolean },
): CanaryFault | null {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage;
  if (promptTokens < PROMPT_BOUNDS.min || promptTokens > PROMPT_BOUNDS.max) return 'prompt_tokens';
  if (cachedTokens > promptTokens) return 'prompt_tokens';
  if (completionTokens < 1 || completionTokens > CANARY_REQUEST.max_tokens) return 'completion_tokens';
  if (reasoningTokens > completionTokens) return 'completion_tokens';
  return model.reasoning && !reasoned ? 'no_reasoning' : null;
}

/** Whether both witnesses say the same: the edge, which read the answer, and the node's journal. */
export function receiptAgrees(usage: Usage, receipt: Pick<Receipt, 'outcome' | 'usage'>): boolean {
  const counted = fromNodeUsage(receipt.usage);
  return (
    receipt.outcome === 'finished' &&
    (Object.keys(usage) as (keyof Usage)[]).every((kind) => usage[kind] === counted[kind])
  );
}

/** Ids of a try's two requests: like a request's, but nobody takes them for a customer's. */
export function newCanaryIds(nowMs: number): { firstId: string; secondId: string } {
  const suffix = newId('req', nowMs).slice('req'.length);
  return { firstId: `canary_1${suffix}`, secondId: `canary_2${suffix}` };
}

/** Of which try a request was; null for what was never the id of a canary. */
export function parseCanaryId(id: string): { secondId: string; isSecond: boolean } | null {
  const parts = /^canary_([12])(_[0-9a-hjkmnp-tv-z]{26})$/.exec(id);
  return parts && { secondId: `canary_2${parts[2]}`, isSecond: parts[1] === '2' };
}

/** Of a probe of the status page: the same request, after which nothing is decided. */
export function newProbeId(nowMs: number): string {
  return `probe${newId('req', nowMs).slice('req'.length)}`;
}

export function isProbeId(id: string): boolean {
  return /^probe_[0-9a-hjkmnp-tv-z]{26}$/.test(id);
}
