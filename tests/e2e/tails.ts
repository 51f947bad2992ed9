/**
 * How many tokens an engine may have generated and told nobody of. Nearly always none; where a process died, stood
 * still, or was made to lie about its counts, a bound that follows from what happened.
 */
import type { FaultKind } from '../../gpu-pool/emulator/faults.ts';
import { PROFILES } from '../../gpu-pool/emulator/profiles.ts';
import type { Hardware } from '../../gpu-pool/protocol/schemas.ts';
import type { TailOf } from './books.ts';
import type { NodeJournal } from './journals.ts';

/** A process that stood still and went on. */
export interface Outage {
  readonly nodeName: string;
  readonly part: 'engine' | 'agent';
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TailFacts {
  readonly hardware: ReadonlyMap<string, Hardware>;
  /** of the engines */
  readonly speed: number;
  readonly journals: ReadonlyMap<string, NodeJournal>;
  readonly outages?: readonly Outage[];
  /** requests whose client reads slowly: what it has not read waits in buffers that die with a process */
  readonly slow?: ReadonlySet<string>;
}

/** From a token's step to its way through a busy machine into the agent's count. */
const MOMENT_MS = 750;
/** An agent notes at most this often how far a request is (run.ts). */
const PROGRESS_MS = 1_000;
/** The engine goes on so long for an agent that is gone, in engine time (DISCONNECT_NOTICE_MS). */
const NOTICE_MS = 2_000;
/** For an engine that does not answer, an agent waits so long after an abort (DEFAULT_DEADLINES). */
const ABORT_GRACE_MS = 5_000;
/** Choices of a request at most. */
const CHOICES_MAX = 2;

const ANY = Number.POSITIVE_INFINITY;

/** Real time in which an engine goes on unheard, by the fault that struck its request. */
const UNHEARD_MS: Partial<Record<FaultKind, number>> = {
  // generation ends with the connection; the agent's abort follows a nonsensical frame
  die_mid_stream: MOMENT_MS,
  malformed_frame: MOMENT_MS,
  // without counts each event counts as a token: special tokens have none
  usage_missing: MOMENT_MS,
  usage_null: MOMENT_MS,
  usage_shrinking: MOMENT_MS,
  usage_negative: MOMENT_MS,
  usage_huge: MOMENT_MS,
  // bytes wait in the engine while it goes on
  trickle: ANY,
  split_bytes: ANY,
  // everything is generated and nothing is said
  error_500_after_work: ANY,
  ignore_abort: ANY,
};

export function tailsBy(facts: TailFacts): TailOf {
  const { hardware, speed, journals, outages = [], slow } = facts;
  const receipts = new Map(
    [...journals].flatMap(([nodeId, journal]) =>
      [...journal.receipts.values()].map((receipt) => [`${nodeId} ${receipt.request_id}`, receipt] as const),
    ),
  );
  return ({ node, requestId, faults, finished }) => {
    const receipt = receipts.get(`${node.id} ${requestId}`);
    const died = !finished || receipt?.outcome === 'lost';
    if (died && slow?.has(requestId)) return ANY;
    const stoodStill = outages.some(
      ({ nodeName, fromMs, toMs }) =>
        nodeName === node.name &&
        receipt !== undefined &&
        receipt.outcome !== 'finished' &&
        receipt.started_at_ms <= toMs &&
        receipt.ended_at_ms + ABORT_GRACE_MS >= fromMs,
    );
    if (stoodStill) return ANY;
    const unheardMs = Math.max(
      0,
      finished ? 0 : MOMENT_MS,
      receipt?.outcome === 'lost' ? PROGRESS_MS + NOTICE_MS / speed + MOMENT_MS : 0,
      ...faults.map((kind) => UNHEARD_MS[kind] ?? 0),
    );
    const { decodeBaseMs } = PROFILES[hardware.get(node.name)!];
    return Math.ceil((unheardMs * speed * CHOICES_MAX) / decodeBaseMs);
  };
}
