/**
 * Encodes a pool snapshot as text, which the Pool hands to isolates and the edge's cache keeps. Rows without field names
 * are well under half as long as objects, and a Durable Object call copies text where it would walk objects: with a
 * thousand nodes and thousands of readers, both count.
 */
import type { NodeView, PoolSnapshot } from './node.ts';

/**
 * Version of the row format. Raise it with every change to a row: an older
 * version of the code may have filled the cache.
 */
export const SNAPSHOT_VERSION = 4;

export function encodeSnapshot({ atMs, nodes }: PoolSnapshot): string {
  return JSON.stringify([SNAPSHOT_VERSION, atMs, nodes.map(toRow)]);
}

/** @throws Error when another version wrote the text */
export function decodeSnapshot(text: string): PoolSnapshot {
  const [version, atMs, rows] = JSON.parse(text) as [number, number, Row[]];
  if (version !== SNAPSHOT_VERSION)
    throw new Error(`a snapshot of version ${version}, not ${SNAPSHOT_VERSION}`);
  return { atMs, nodes: rows.map(fromRow) };
}

type Row = ReturnType<typeof toRow>;

function toRow({ load, ...node }: NodeView) {
  return [
    node.id,
    node.name,
    node.modelId,
    node.hardware,
    node.url,
    node.capacity,
    node.state,
    node.revision,
    node.health,
    node.share,
    node.weight,
    node.draining,
    node.lastHeartbeatMs,
    node.inFlight,
    node.deterministic === true ? 1 : 0,
    load.running_requests,
    load.waiting_requests,
    load.waiting_tokens,
    load.used_tokens,
    load.capacity_tokens,
    load.max_running_requests,
    load.max_queued_requests,
    load.generation_tokens_per_second,
    load.cache_hit_rate,
  ] as const;
}

function fromRow(row: Row): NodeView {
  const [id, name, modelId, hardware, url, capacity, state, revision, ...rest] = row;
  const [health, share, weight, draining, lastHeartbeatMs, inFlight, deterministic, ...load] = rest;
  return {
    id,
    name,
    modelId,
    hardware,
    url,
    capacity,
    state,
    revision,
    health,
    share,
    weight,
    draining,
    lastHeartbeatMs,
    inFlight,
    load: {
      running_requests: load[0],
      waiting_requests: load[1],
      waiting_tokens: load[2],
      used_tokens: load[3],
      capacity_tokens: load[4],
      max_running_requests: load[5],
      max_queued_requests: load[6],
      generation_tokens_per_second: load[7],
      cache_hit_rate: load[8],
    },
    ...(deterministic === 1 ? { deterministic: true } : {}),
  };
}
