/** The agent's metrics for its operator. No label ever holds a caller's text. */
import { NODE_ERROR_CODES, Receipt } from '../protocol/schemas.ts';
import { ABORT_PROOFS, type AbortProof } from './abort-watch.ts';
import { Counter, gauge, Histogram } from './prometheus.ts';
import type { NodeErrorCode } from './request-error.ts';
import { USAGE_ANOMALIES, type UsageAnomaly } from './sglang/usage.ts';

const TOKEN_KINDS = ['prompt', 'cached', 'completion', 'reasoning'] as const;
/** Bucket bounds in seconds. A first token waits for queue and prefill; an answer of R1 takes minutes. */
const TTFT_BOUNDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];
const DURATION_BOUNDS = [0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1_200];

const GAUGES = {
  in_flight: 'Requests that the agent is working on.',
  sequences: 'Answers that the agent is working on; a request can have several.',
  room: 'Answers that the engine can run and queue; beyond them requests are refused.',
  receipts_unacknowledged: 'Receipts that the edge has not acknowledged.',
  draining: '1 while no new work is taken.',
  engine_healthy: '1 while the engine answers and meets the requirements.',
  engine_fits: '1 while the engine has the version and arguments that a node requires.',
  engine_silence_seconds:
    'Seconds since the engine, or the most silent of its ranks, last showed a sign of life.',
  engine_running_requests: 'Requests that the engine reports as running.',
  engine_waiting_requests: 'Requests that the engine reports as queued.',
  edge_reachable: '1 while the edge accepts heartbeats.',
  heartbeat_age_seconds: 'Seconds since the edge last accepted a heartbeat, or since the start.',
  aborts_pending: 'Aborted requests that the engine is not yet known to have stopped.',
};

export interface MetricsSnapshot {
  gauges: Record<keyof typeof GAUGES, number>;
  info: { version: string; node: string; engine_version: string; model_path: string };
}

export class Metrics {
  readonly #requests = new Counter('tollgate_agent_requests_total', 'Requests with a receipt, by outcome.', {
    label: 'outcome',
    values: Receipt.shape.outcome.options,
  });
  readonly #requestErrors = new Counter(
    'tollgate_agent_refusals_total',
    'Requests refused or failed, by the error code that was sent to the edge.',
    { label: 'code', values: NODE_ERROR_CODES },
  );
  readonly #tokens = new Counter(
    'tollgate_agent_tokens_total',
    'Tokens of receipts; prompt includes cached, completion includes reasoning.',
    { label: 'kind', values: TOKEN_KINDS },
  );
  readonly #anomalies = new Counter(
    'tollgate_agent_usage_anomalies_total',
    'Usage reports of the engine that had to be corrected.',
    { label: 'kind', values: USAGE_ANOMALIES },
  );
  readonly #aborts = new Counter(
    'tollgate_agent_aborts_total',
    'Requests aborted or given up, by the proof that the engine has stopped; none: there is no proof.',
    { label: 'proof', values: ABORT_PROOFS },
  );
  readonly #journalFailures = new Counter(
    'tollgate_agent_journal_failures_total',
    'Lines that could not be written to the journal.',
    { label: 'line', values: ['opened', 'closed'] },
  );
  readonly #ttft = new Histogram(
    'tollgate_agent_time_to_first_token_seconds',
    'From a request to its first token.',
    TTFT_BOUNDS,
  );
  readonly #duration = new Histogram(
    'tollgate_agent_request_duration_seconds',
    'From a request to its receipt.',
    DURATION_BOUNDS,
  );

  receipt({ outcome, usage, ttft_ms, started_at_ms, ended_at_ms }: Receipt): void {
    this.#requests.add(outcome);
    for (const kind of TOKEN_KINDS) this.#tokens.add(kind, usage[`${kind}_tokens`]);
    if (ttft_ms !== null) this.#ttft.observe(ttft_ms / 1_000);
    this.#duration.observe((ended_at_ms - started_at_ms) / 1_000);
  }

  requestError(code: NodeErrorCode): void {
    this.#requestErrors.add(code);
  }

  anomaly(kind: UsageAnomaly): void {
    this.#anomalies.add(kind);
  }

  abort(proof: AbortProof): void {
    this.#aborts.add(proof);
  }

  journalFailure(line: 'opened' | 'closed'): void {
    this.#journalFailures.add(line);
  }

  print({ gauges, info }: MetricsSnapshot): string {
    const counters = [
      this.#requests,
      this.#requestErrors,
      this.#tokens,
      this.#anomalies,
      this.#aborts,
      this.#journalFailures,
      this.#ttft,
      this.#duration,
    ];
    const names = Object.keys(GAUGES) as (keyof typeof GAUGES)[];
    return [
      ...counters.map((counter) => counter.print()),
      ...names.map((name) => gauge(`tollgate_agent_${name}`, GAUGES[name], gauges[name])),
      gauge('tollgate_agent_info', 'Version, node, engine and model of this agent; always 1.', 1, info),
    ].join('');
  }
}
