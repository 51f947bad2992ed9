/**
 * Step 4 of a request: choosing a node. Pure policies work on the pool's snapshot, corrected by what this isolate has
 * seen of the nodes itself. Candidates are computed once per snapshot and again when something changes, not per request:
 * with a thousand nodes that work would dominate each decision.
 */
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';
import type { NodeView, PoolSnapshot } from '../domain/node.ts';
import { affinity } from '../domain/routing/affinity.ts';
import { changesAtMs } from '../domain/routing/breaker.ts';
import { type Eligible, eligibilityOf, isOverloaded, partitionNodes } from '../domain/routing/eligibility.ts';
import { hash32 } from '../domain/routing/hash.ts';
import { clampRetryAfterMs, halfDrainMs } from '../domain/routing/overload.ts';
import type { Candidate, RouteRequest } from '../domain/routing/policy.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import { changeCount, hasOwnOutlook, localStateOf, observeSnapshot, outlooksOn } from './node/local-state.ts';
import { combined, keyOf, type Party } from './node/outlook.ts';

/** A snapshot older than this means that the Pool is silent, so a node that it reported as missing may be back. */
const SNAPSHOT_AGE_MS_MAX = 10_000;

/**
 * For raw-text prompts only the first 1,024 characters are hashed: prompts that differ earlier share too little prefix
 * cache to be worth routing together.
 */
const PROMPT_PREFIX_CHARS = 1_024;
/**
 * A longer message is identified by its start, its end and its length, because hashing the text of a whole book takes too
 * long: as long as all the rest of routing for each thousand characters.
 */
const HASHED_CHARS_MAX = 2_048;

/**
 * Hash of the part of a conversation that stays the same as it grows; conversations with the same key are routed to the same
 * node, whose prefix cache has it. The account's salt is hashed in, so that tenants are never routed together on purpose.
 */
export function affinityKey(request: ChatRequest, modelId: string, cacheSalt: string): number {
  if (request.sessionKey !== null) return hash32(JSON.stringify([cacheSalt, modelId, request.sessionKey]));
  const { messages, prompt, tools } = request.generate;
  const opening = messages
    ? messages.slice(0, messages.findIndex((message) => message.role === 'user') + 1).map(messageKey)
    : prompt?.slice(0, PROMPT_PREFIX_CHARS);
  // Names tell the tools of one client from those of another, and schemas may be long.
  const toolNames = tools?.map((tool) => tool.function.name) ?? null;
  return hash32(JSON.stringify([cacheSalt, modelId, toolNames, opening]));
}

function messageKey({ role, content }: ChatMessage): unknown[] {
  if (content === null || content.length <= HASHED_CHARS_MAX) return [role, content];
  const half = HASHED_CHARS_MAX / 2;
  return [role, content.slice(0, half), content.length, content.slice(-half)];
}

export type Choice =
  | { readonly node: NodeView }
  /** `retryAfterMs`: the queues are expected to be full until then; null: there is no node to wait for */
  | { readonly node: null; readonly retryAfterMs: number | null };

/** Chooses the best node that has not been tried yet. */
export function chooseNode(
  snapshot: PoolSnapshot,
  request: RouteRequest & { tried: ReadonlySet<string>; party: Party },
  nowMs: number,
): Choice {
  const { party } = request;
  const eligible = eligibleIn(snapshot, party, nowMs);
  const untried = (candidates: readonly Candidate[]) =>
    request.tried.size === 0 ? candidates : candidates.filter(({ node }) => !request.tried.has(node.id));
  const chosen = affinity(untried(eligible.candidates), request);
  if (chosen !== null) return chosen;
  const full = untried(eligible.full);
  const lastResort = untried(eligible.lastResort);
  if (isOverloaded({ full, lastResort }))
    return { node: null, retryAfterMs: retryAfterMs(full, party, nowMs) };
  return affinity(lastResort, request) ?? { node: null, retryAfterMs: null };
}

/**
 * How long a client should wait before it retries a pool whose nodes are all full; null when a node has room or the pool has
 * no nodes.
 */
export function overloadWaitMs(snapshot: PoolSnapshot, party: Party, nowMs: number): number | null {
  const eligible = eligibleIn(snapshot, party, nowMs);
  return eligible.candidates.length === 0 && isOverloaded(eligible)
    ? retryAfterMs(eligible.full, party, nowMs)
    : null;
}

/** The eligible nodes of one snapshot, as computed at some moment. */
interface CachedEligible extends Eligible<Candidate> {
  /** `changeCount` when it was computed. */
  readonly change: number;
  /** From this time on it must be recomputed even if nothing else changes. */
  readonly untilMs: number;
}

/** By snapshot, then by party: '' is for all that have no outlook of their own. */
const eligibleBySnapshot = new WeakMap<PoolSnapshot, Map<string, CachedEligible>>();

function eligibleIn(snapshot: PoolSnapshot, party: Party, nowMs: number): CachedEligible {
  let byParty = eligibleBySnapshot.get(snapshot);
  if (!byParty) {
    byParty = new Map();
    eligibleBySnapshot.set(snapshot, byParty);
    observeSnapshot(snapshot);
  }
  const key = hasOwnOutlook(party) ? keyOf(party) : '';
  const cached = byParty.get(key);
  if (cached && cached.change === changeCount() && nowMs < cached.untilMs) return cached;
  const computed = computeEligible(snapshot, party, nowMs);
  byParty.set(key, computed);
  return computed;
}

function computeEligible(snapshot: PoolSnapshot, party: Party, nowMs: number): CachedEligible {
  const silentFromMs = snapshot.atMs + SNAPSHOT_AGE_MS_MAX;
  let untilMs = nowMs < silentFromMs ? silentFromMs : Number.POSITIVE_INFINITY;
  const views = snapshot.nodes.map((node) => {
    const { seed, load } = localStateOf(node);
    const outlooks = outlooksOn(node, party);
    const { share, ...seen } = combined(outlooks, nowMs);
    for (const { breaker, busyUntilMs } of outlooks)
      untilMs = Math.min(untilMs, changesAtMs(breaker, nowMs), nowMs < busyUntilMs ? busyUntilMs : untilMs);
    const weight = node.weight * Math.min(node.share, share);
    return { eligibility: eligibilityOf(node, seen), candidate: { node, seed, local: load, weight } };
  });
  const sorted = partitionNodes(views, ({ eligibility }) => eligibility, {
    trustSilence: nowMs < silentFromMs,
  });
  const { panic } = sorted;
  const candidates = (chosen: typeof views): Candidate[] =>
    // in a panic the reduced shares of recovering nodes are ignored, too
    chosen.map(({ candidate }) => (panic ? { ...candidate, weight: candidate.node.weight } : candidate));
  return {
    candidates: candidates(sorted.candidates),
    full: candidates(sorted.full),
    lastResort: candidates(sorted.lastResort),
    panic,
    change: changeCount(),
    untilMs,
  };
}

/** The wait until the first full node may be tried again or the queues have drained, whichever is later. */
function retryAfterMs(full: readonly Candidate[], party: Party, nowMs: number): number {
  const nodes = full.map(({ node }) => node);
  const waitFor = (node: NodeView) =>
    Math.max(...outlooksOn(node, party).map(({ busyUntilMs }) => busyUntilMs)) - nowMs;
  return Math.max(halfDrainMs(nodes), clampRetryAfterMs(Math.min(...nodes.map(waitFor))));
}
