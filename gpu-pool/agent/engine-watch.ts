/** Watches the engine on its own beat, so that a slow /health never delays a heartbeat to the edge. */
import type { NodeLoad } from '../protocol.ts';
import type { Engine } from './engine-client.ts';
import { checkHealth, type EngineInfo, NO_LOAD, readEngineInfo, readLoad } from './sglang/probe.ts';

/** A busy engine can miss its own health check (a long prefill), so one miss proves nothing. */
const FAILURES_MIN = 3;
/** An engine that sent a token this recently lives, whatever its health check says. */
const TOKENS_RECENT_MS = 10_000;

export class EngineWatch {
  readonly #engine: Engine;
  readonly #now: () => number;
  readonly #intervalMs: number;
  info: EngineInfo;
  load: NodeLoad = NO_LOAD;
  #failures = 0;
  #gone = false;
  #tokenAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: { engine: Engine; info: EngineInfo; now: () => number; intervalMs: number }) {
    this.#engine = options.engine;
    this.info = options.info;
    this.#now = options.now;
    this.#intervalMs = options.intervalMs;
  }

  /** Looks once, then keeps looking. */
  async start(): Promise<void> {
    await this.#look();
    if (!this.#stopped) this.#timer = setTimeout(() => void this.start(), this.#intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  tokenSeen(): void {
    this.#tokenAtMs = this.#now();
  }

  get healthy(): boolean {
    if (this.#gone) return false;
    return this.#failures < FAILURES_MIN || this.#now() - this.#tokenAtMs < TOKENS_RECENT_MS;
  }

  async #look(): Promise<void> {
    const [health, load] = await Promise.all([checkHealth(this.#engine), readLoad(this.#engine)]);
    const back = health === 'ok' && this.#failures > 0;
    this.#gone = health === 'gone';
    this.#failures = health === 'ok' ? 0 : this.#failures + 1;
    this.load = load ?? (this.#gone ? NO_LOAD : this.load);
    // An engine that comes back may be another one: other weights, other version.
    if (!back) return;
    const info = await readEngineInfo(this.#engine);
    if ('model_path' in info) this.info = info;
  }
}
