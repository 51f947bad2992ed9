/**
 * Polls the engine's health and load on a timer of its own, so that a slow /health never delays a heartbeat to the
 * edge.
 */
import { NO_LOAD, type NodeLoad } from '../protocol/schemas.ts';
import type { Inspection } from './engine-check.ts';
import type { Engine } from './engine-client.ts';
import type { Log } from './log.ts';
import { checkHealth, readLoad } from './sglang/load.ts';
import type { EngineFacts, EngineInfo } from './sglang/probe.ts';

/**
 * Failed health checks in a row that make the engine unhealthy. A busy engine can miss one (a long prefill), so one
 * miss proves nothing.
 */
const FAILURES_MIN = 3;
/** An engine that sent a token this recently counts as healthy, whatever its health check says. */
const TOKENS_RECENT_MS = 10_000;
/** How old the last inspection of a healthy engine may be. */
const INSPECT_EVERY_MS = 60_000;
/** The limit for an engine that does not report its own: more than any engine runs and queues. */
const SEQUENCES_MAX_UNKNOWN = 4_096;

export interface EngineWatchOptions {
  engine: Engine;
  facts: EngineFacts;
  /**
   * Inspects again what the engine is and how it was started.
   * @param contextTokens the longest prompt that is sold; undefined: not known yet
   */
  inspect: (contextTokens: number | undefined) => Promise<Inspection | null>;
  log: Log;
  now: () => number;
  intervalMs: number;
}

export class EngineWatch {
  readonly #options: EngineWatchOptions;
  #facts: EngineFacts;
  load: NodeLoad = NO_LOAD;
  #failures = 0;
  #unreachable = false;
  /** The process that answers now may not be the one that was inspected. */
  #needsInspection = false;
  #contextTokens: number | undefined;
  #faults: string[] = [];
  #inspectedAtMs: number;
  #tokenAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
    this.#facts = options.facts;
    this.#inspectedAtMs = options.now();
  }

  /** Polls once, then keeps polling every `intervalMs`. */
  async start(): Promise<void> {
    await this.#poll();
    if (!this.#stopped) this.#timer = setTimeout(() => void this.start(), this.#options.intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  tokenSeen(): void {
    this.#tokenAtMs = this.#options.now();
  }

  /** Makes the next poll inspect the engine: its answers no longer look like those of the engine that was inspected. */
  inspectSoon(): void {
    this.#needsInspection = true;
  }

  get info(): EngineInfo {
    return this.#facts.info;
  }

  /** The engine's `--context-length`; null: not known. */
  get contextLength(): number | null {
    return this.#facts.settings.context_length;
  }

  /** Notes the longest prompt that is sold, as a request names it. The next poll inspects whether the engine takes it. */
  sellsContext(contextTokens: number): void {
    if (contextTokens === this.#contextTokens) return;
    this.#contextTokens = contextTokens;
    this.#needsInspection = true;
  }

  /** Whether the engine, when last inspected, met the requirements for being sold. */
  get fits(): boolean {
    return this.#faults.length === 0;
  }

  get healthy(): boolean {
    if (this.#unreachable || !this.fits) return false;
    return this.#failures < FAILURES_MIN || this.#options.now() - this.#tokenAtMs < TOKENS_RECENT_MS;
  }

  /** How many sequences the engine can run and queue; beyond that it would refuse some. */
  get sequencesMax(): number {
    const { max_running_requests: running, max_queued_requests: queued } = this.load;
    return running === 0 || queued === null ? SEQUENCES_MAX_UNKNOWN : running + queued;
  }

  /** How many sequences may wait at the engine at once: the queue of one rank, because one may get them all. */
  get queuedMax(): number {
    return this.#facts.settings.max_queued_requests ?? SEQUENCES_MAX_UNKNOWN;
  }

  async #poll(): Promise<void> {
    const { engine } = this.#options;
    const queuedPerRankMax = this.#facts.settings.max_queued_requests;
    const [health, load] = await Promise.all([checkHealth(engine), readLoad(engine, { queuedPerRankMax })]);
    this.load = load ?? this.load;
    if (health !== 'ok') {
      this.#failures += 1;
      // Only an inspection can show that what answers again is still the same engine.
      if (health === 'unreachable') this.#unreachable = true;
      this.#needsInspection = true;
      return;
    }
    if (this.#needsInspection || !this.fits) {
      if (!(await this.#inspect())) return;
    } else if (this.#options.now() - this.#inspectedAtMs > INSPECT_EVERY_MS) {
      // Weights can be exchanged while the engine runs.
      await this.#inspect();
    }
    this.#failures = 0;
    this.#unreachable = false;
    this.#needsInspection = false;
  }

  /** False where nothing answers in time; the engine's health then stays as it was. */
  async #inspect(): Promise<boolean> {
    const { inspect, log } = this.#options;
    const inspection = await inspect(this.#contextTokens);
    if (inspection === null) return false;
    const { facts, faults } = inspection;
    this.#inspectedAtMs = this.#options.now();
    this.#facts = facts ?? this.#facts;
    if (faults.length > 0 && faults.join() !== this.#faults.join()) {
      log('engine_unfit', { faults: faults.join(' ') });
    }
    if (faults.length === 0 && !this.fits) log('engine_fits');
    this.#faults = faults;
    return true;
  }
}
