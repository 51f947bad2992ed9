/**
 * The tail tokens of an attempt: how many tokens an engine may have generated without reporting them. There are nearly
 * always none; where a process died, was stopped or was made to report false counts, the bound follows from what happened.
 */
import type { FaultKind } from '../../gpu-pool/emulator/faults.ts';
import { PROFILES } from '../../gpu-pool/emulator/profiles.ts';
import type { Hardware } from '../../gpu-pool/protocol/schemas.ts';
import type { NodeJournal } from './journals.ts';
import type { TailTokensOf } from './stored-state.ts';

/** A period in which a process was stopped (SIGSTOP) and then continued. */
export interface Outage {
  readonly nodeName: string;
  readonly part: 'engine' | 'agent';
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TailTokenFacts {
  readonly hardware: ReadonlyMap<string, Hardware>;
  /** The engines' speed; 1 is real time. */
  readonly speed: number;
  readonly journals: ReadonlyMap<string, NodeJournal>;
  readonly outages?: readonly Outage[];
  /** Ids of requests whose client reads slowly: what it has not read waits in buffers that are lost when a process dies. */
  readonly slow?: ReadonlySet<string>;
}

/** The time from a token's generation to the agent's count on a busy machine. */
const MOMENT_MS = 750;
/** An agent notes a request's progress in its journal at most this often (gpu-pool/agent/run-progress.ts). */
const PROGRESS_MS = 1_000;
/** How long an agent waits after an abort for an engine that does not answer (DEFAULT_DEADLINES). */
const ABORT_GRACE_MS = 5_000;
/** The most choices of a request in these tests. */
const CHOICES_MAX = 2;

const ANY = Number.POSITIVE_INFINITY;

/** The real time in which an engine may generate unreported tokens, by the fault of its request. */
const UNREPORTED_MS: Partial<Record<FaultKind, number>> = {
  // generation ends with the connection; the agent's abort follows a nonsensical frame
  die_mid_stream: MOMENT_MS,
  malformed_frame: MOMENT_MS,
  // without counts each event counts as a token: special tokens have none
  usage_missing: MOMENT_MS,
  usage_null: MOMENT_MS,
  usage_shrinking: MOMENT_MS,
  usage_negative: MOMENT_MS,
  usage_huge: MOMENT_MS,
  // bytes wait in the engine while it generates on
  trickle: ANY,
  split_bytes: ANY,
  // everything is generated and nothing is reported
  error_500_after_work: ANY,
  ignore_abort: ANY,
};

export function tailTokensBy(facts: TailTokenFacts): TailTokensOf {
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
    const wasStopped = outages.some(
      ({ nodeName, fromMs, toMs }) =>
        nodeName === node.name &&
        receipt !== undefined &&
        receipt.outcome !== 'finished' &&
        receipt.started_at_ms <= toMs &&
        receipt.ended_at_ms + ABORT_GRACE_MS >= fromMs,
    );
    if (wasStopped) return ANY;
    const unreportedMs = Math.max(
      0,
      finished ? 0 : MOMENT_MS,
      receipt?.outcome === 'lost' ? PROGRESS_MS + MOMENT_MS : 0,
      ...faults.map((kind) => UNREPORTED_MS[kind] ?? 0),
    );
    const { decodeBaseMs } = PROFILES[hardware.get(node.name)!];
    return Math.ceil((unreportedMs * speed * CHOICES_MAX) / decodeBaseMs);
  };
}
