/** Step 4: which node. Pure policies over the isolate's snapshot; what this isolate itself saw corrects it. */
import type { NodeView } from '../domain/node.ts';
import { affinity } from '../domain/routing/affinity.ts';
import { eject, FRESH, isEjected, type Probation } from '../domain/routing/ejection.ts';
import { eligible } from '../domain/routing/eligible.ts';
import { hash32 } from '../domain/routing/hash.ts';
import type { ChatRequest } from './chat-request.ts';

/** Requests that this isolate has in flight, by node: newer than any snapshot. */
const ownInFlight = new Map<string, number>();
/** Failures that this isolate saw, by node: the Pool hears of them too, but a snapshot takes its time. */
const probations = new Map<string, Probation>();

/** What the conversation keeps as it grows, salted by account so that tenants never meet on purpose. */
export function affinityKey(request: ChatRequest, modelId: string, cacheSalt: string): number {
  const { messages, tools } = request.generate;
  const opening = messages.slice(0, messages.findIndex((message) => message.role === 'user') + 1);
  return hash32(JSON.stringify([cacheSalt, modelId, tools ?? null, opening]));
}

/** The best node that was not tried yet, or null. */
export function chooseNode(
  nodes: readonly NodeView[],
  request: { affinity: number; tried: ReadonlySet<string> },
  nowMs: number,
): NodeView | null {
  const corrected = nodes.map((node) =>
    node.health === 'up' && isEjected(probations.get(node.id) ?? FRESH, nowMs)
      ? { ...node, health: 'ejected' as const }
      : node,
  );
  const candidates = eligible(corrected, request.tried).map((node) => ({
    node,
    ownInFlight: ownInFlight.get(node.id) ?? 0,
  }));
  return affinity(candidates, request)[0]?.node ?? null;
}

export function noteFailure(nodeId: string, nowMs: number): void {
  probations.set(nodeId, eject(probations.get(nodeId) ?? FRESH, nowMs));
}

/** Requests of this isolate that are at a node now. */
export function inFlightTotal(): number {
  return ownInFlight.values().reduce((sum, each) => sum + each, 0);
}

/** @returns called once when the request has left the node */
export function noteInFlight(nodeId: string): () => void {
  ownInFlight.set(nodeId, (ownInFlight.get(nodeId) ?? 0) + 1);
  let left = false;
  return () => {
    if (left) return;
    left = true;
    ownInFlight.set(nodeId, ownInFlight.get(nodeId)! - 1);
  };
}
