/** The plan of a soak's faults: the n-th fault of a seed, and before which request it happens. */
import type { FaultKind } from '../../gpu-pool/emulator/faults.ts';
import { type Draw, drawsFor } from './draw.ts';

export type PlannedFault = {
  /** The fault happens when this many requests have begun. */
  readonly atRequest: number;
  /** The index of the node; faults of the edge do not use it. */
  readonly node: number;
} & (
  | { readonly kind: KillKind; readonly downMs: number }
  | { readonly kind: HangKind | 'drain'; readonly forMs: number }
  | { readonly kind: 'revoke' }
  | { readonly kind: 'engine'; readonly fault: FaultKind; readonly times: number; readonly forMs: number }
);

const KILLS = { kill_edge: 5, kill_agent: 5, kill_engine: 5, kill_node: 4 } as const;
const OTHERS = { hang_engine: 3, hang_agent: 3, drain: 3, revoke: 1, engine: 26 } as const;
export type KillKind = keyof typeof KILLS;
export type HangKind = 'hang_engine' | 'hang_agent';

/** The faults of an engine that its callers must survive. */
export const ENGINE_FAULTS = [
  'refuse',
  'reset_before_headers',
  'empty_200',
  'die_mid_stream',
  'hang',
  'trickle',
  'split_bytes',
  'crlf',
  'malformed_frame',
  'usage_missing',
  'usage_null',
  'usage_shrinking',
  'usage_negative',
  'usage_huge',
  'no_done',
  'bytes_after_done',
  'status_429',
  'status_503',
  'queue_full_200',
  'error_500_after_work',
  'html_200',
  'ignore_abort',
  'unhealthy',
] as const satisfies readonly FaultKind[];

export function isKill(kind: PlannedFault['kind']): kind is KillKind {
  return kind in KILLS;
}

/** Yields faults without end. The first four kill edge, agent, engine and node, so that even a short soak has each. */
export function* faultPlan(
  seed: number,
  { nodes, kills = Number.POSITIVE_INFINITY, everyRequests = 12 }: FaultPlanOptions,
): Generator<PlannedFault> {
  let atRequest = everyRequests;
  let killsLeft = kills;
  for (let n = 0; ; n++) {
    const draw = drawsFor(seed, 'fault', n);
    atRequest += draw.between(Math.ceil(everyRequests / 2), Math.ceil(everyRequests * 1.5));
    const first = Object.keys(KILLS)[n] as KillKind | undefined;
    const kind = first ?? draw.weighted(killsLeft > 0 ? { ...KILLS, ...OTHERS } : OTHERS);
    if (isKill(kind) && killsLeft <= 0) continue;
    if (isKill(kind)) killsLeft -= 1;
    yield { atRequest, node: draw.between(0, nodes - 1), ...detail(kind, draw) };
  }
}

export interface FaultPlanOptions {
  readonly nodes: number;
  /** The most processes that are killed. */
  readonly kills?: number;
  readonly everyRequests?: number;
}

type Detail = PlannedFault extends infer F
  ? F extends unknown
    ? Omit<F, 'atRequest' | 'node'>
    : never
  : never;

function detail(kind: KillKind | keyof typeof OTHERS, draw: Draw): Detail {
  if (isKill(kind)) return { kind, downMs: draw.between(0, kind === 'kill_edge' ? 1_000 : 5_000) };
  switch (kind) {
    case 'hang_engine':
    case 'hang_agent':
      return { kind, forMs: draw.between(500, 11_000) };
    case 'drain':
      return { kind, forMs: draw.between(2_000, 8_000) };
    case 'revoke':
      return { kind };
    case 'engine':
      return {
        kind,
        fault: draw.of(ENGINE_FAULTS),
        times: draw.between(1, 4),
        forMs: draw.between(3_000, 9_000),
      };
  }
}
