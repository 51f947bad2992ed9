/**
 * Step 4: which node. Pure policies over the isolate's snapshot; what this isolate itself saw corrects it. Candidates are
 * made ready once for a snapshot and again when something changes, not for each request: with a thousand nodes a
 * decision would else be mostly that.
 */
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';
import type { NodeView, PoolSnapshot } from '../domain/node.ts';
import { affinity } from '../domain/routing/affinity.ts';
import { changesAtMs, phaseOf, shareOf } from '../domain/routing/breaker.ts';
import { type Eligible, isCrowded, sortOut, standingOf } from '../domain/routing/eligible.ts';
import { hash32 } from '../domain/routing/hash.ts';
import { drainMs, usefulRetryAfterMs } from '../domain/routing/overload.ts';
import type { Candidate, RouteRequest } from '../domain/routing/policy.ts';
import type { ChatRequest } from './dialects/chat-request.ts';
import { changeCount, localStateOf, meet } from './node/local-state.ts';

/** A snapshot that is older was not followed by another: the Pool is silent, and who it missed may be back. */
const SNAPSHOT_AGE_MS_MAX = 10_000;

/** Of a bare text: what two that have a beginning in common share of it, without which they share no cache worth a way. */
const OPENING_CHARS = 1_024;
/** A longer text is told from others by its beginning, its end and its length: hashing all of a book takes its time. */
const TOLD_CHARS_MAX = 8_192;

/** What the conversation keeps as it grows, salted by account so that tenants never meet on purpose. */
export function affinityKey(request: ChatRequest, modelId: string, cacheSalt: string): number {
  if (request.sessionKey !== null) return hash32(JSON.stringify([cacheSalt, modelId, request.sessionKey]));
  const { messages, prompt, tools } = request.generate;
  const opening = messages
    ? messages.slice(0, messages.findIndex((message) => message.role === 'user') + 1).map(told)
    : prompt?.slice(0, OPENING_CHARS);
  return hash32(JSON.stringify([cacheSalt, modelId, tools ?? null, opening]));
}

function told({ role, content }: ChatMessage): unknown[] {
  if (content === null || content.length <= TOLD_CHARS_MAX) return [role, content];
  const half = TOLD_CHARS_MAX / 2;
  return [role, content.slice(0, half), content.length, content.slice(-half)];
}

export type Choice =
  | { readonly node: NodeView }
  /** `retryAfterMs`: their queues are full until about then; null: there is none */
  | { readonly node: null; readonly retryAfterMs: number | null };

/** The best node that was not tried yet. */
export function chooseNode(
  snapshot: PoolSnapshot,
  request: RouteRequest & { tried: ReadonlySet<string> },
  nowMs: number,
): Choice {
  const ready = readyFor(snapshot, nowMs);
  const untried = (some: readonly Candidate[]) =>
    request.tried.size === 0 ? some : some.filter(({ node }) => !request.tried.has(node.id));
  const chosen = affinity(untried(ready.candidates), request);
  if (chosen !== null) return chosen;
  const full = untried(ready.full);
  const lastResort = untried(ready.lastResort);
  if (isCrowded({ full, lastResort })) return { node: null, retryAfterMs: retryAfterMs(full, nowMs) };
  return affinity(lastResort, request) ?? { node: null, retryAfterMs: null };
}

/** When to ask again of a pool in which nobody has a place; null: somebody has, or there is nobody at all. */
export function overloadMs(snapshot: PoolSnapshot, nowMs: number): number | null {
  const ready = readyFor(snapshot, nowMs);
  return ready.candidates.length === 0 && isCrowded(ready) ? retryAfterMs(ready.full, nowMs) : null;
}

interface Ready extends Eligible<Candidate> {
  /** `changeCount` when it was made */
  readonly change: number;
  /** time alone changes it then */
  readonly untilMs: number;
}

const readyBySnapshot = new WeakMap<PoolSnapshot, Ready>();

function readyFor(snapshot: PoolSnapshot, nowMs: number): Ready {
  const before = readyBySnapshot.get(snapshot);
  if (before && before.change === changeCount() && nowMs < before.untilMs) return before;
  if (!before) meet(snapshot);
  const ready = makeReady(snapshot, nowMs);
  readyBySnapshot.set(snapshot, ready);
  return ready;
}

function makeReady(snapshot: PoolSnapshot, nowMs: number): Ready {
  const silentFromMs = snapshot.atMs + SNAPSHOT_AGE_MS_MAX;
  let untilMs = nowMs < silentFromMs ? silentFromMs : Number.POSITIVE_INFINITY;
  const views = snapshot.nodes.map((node) => {
    const { breaker, busyUntilMs, probe, seed, own } = localStateOf(node);
    const busy = nowMs < busyUntilMs;
    untilMs = Math.min(untilMs, changesAtMs(breaker, nowMs), busy ? busyUntilMs : untilMs);
    const phase = phaseOf(breaker, nowMs);
    const standing = standingOf(node, { phase, probing: probe !== null, busy });
    const weight = node.weight * Math.min(node.share, shareOf(breaker, nowMs));
    return { standing, candidate: { node, seed, own, weight } };
  });
  const sorted = sortOut(views, ({ standing }) => standing, { silenceCounts: nowMs < silentFromMs });
  const { panic } = sorted;
  const candidates = (some: typeof views): Candidate[] =>
    // in a panic shares are not believed either
    some.map(({ candidate }) => (panic ? { ...candidate, weight: candidate.node.weight } : candidate));
  return {
    candidates: candidates(sorted.candidates),
    full: candidates(sorted.full),
    lastResort: candidates(sorted.lastResort),
    panic,
    change: changeCount(),
    untilMs,
  };
}

/** When the first of these has asked to be tried again, or their queues are shorter, whichever is later. */
function retryAfterMs(full: readonly Candidate[], nowMs: number): number {
  const nodes = full.map(({ node }) => node);
  const firstMs = Math.min(...nodes.map((node) => localStateOf(node).busyUntilMs - nowMs));
  return Math.max(drainMs(nodes), usefulRetryAfterMs(firstMs));
}
