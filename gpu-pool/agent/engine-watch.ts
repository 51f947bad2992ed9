/**
 * Watches the engine: looks at its load, checks its health and inspects it, each on a timer of its own. The load is passed
 * on as it comes, because a health check takes a second at best and within a prefill step as long as the step.
 */
import { NO_LOAD, type NodeLoad } from '../protocol/schemas.ts';
import type { Inspection } from './engine-check.ts';
import type { Engine } from './engine-client.ts';
import { EnginePulse, type PendingPrompt } from './engine-pulse.ts';
import type { Log } from './log.ts';
import type { ParserNames } from './parse/formats.ts';
import { Repeat } from './repeat.ts';
import { checkHealth, readLoad } from './sglang/load.ts';
import { type EngineFacts, type EngineInfo, roomTokens, stepLimits } from './sglang/probe.ts';
import { findWarnings } from './sglang/warnings.ts';

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
  /** Whether a scheduler of the engine is seen to be stopped. */
  hasStopped: () => Promise<boolean>;
  /** Called when the engine has become healthy, or has ceased to be. */
  onHealth: () => void;
  log: Log;
  now: () => number;
  intervalMs: number;
  /** Silence of an engine with nothing to prefill that makes it a hung one; default: `SILENCE_MS`. */
  silenceMs?: number | undefined;
}

export class EngineWatch {
  readonly #options: EngineWatchOptions;
  readonly #pulse: EnginePulse;
  readonly #prompts = new Set<PendingPrompt>();
  readonly #ended = new AbortController();
  readonly #repeats: readonly Repeat[];
  #facts: EngineFacts;
  load: NodeLoad = NO_LOAD;
  #hung = false;
  /** A scheduler is stopped, and has been silent for two looks. */
  #stopped = false;
  /** The engine is starting, ending or down: no health check has been answered since. */
  #off = false;
  /** The process that answers now may not be the one that was inspected. */
  #unknown = false;
  #inspectionDue = false;
  #contextTokens: number | undefined;
  #ignoresBudgets = false;
  #faults: string[] = [];
  #warned = '';
  #inspectedAtMs: number;
  #wasHealthy = true;

  constructor(options: EngineWatchOptions) {
    const { now, intervalMs, silenceMs } = options;
    this.#options = options;
    this.#facts = options.facts;
    this.#inspectedAtMs = now();
    this.#pulse = new EnginePulse({ nowMs: now(), silenceMs });
    this.#repeats = [
      new Repeat(() => this.#look(), intervalMs),
      new Repeat(() => this.#check(), intervalMs),
      new Repeat(() => this.#inspectIfDue(), intervalMs),
    ];
  }

  /** Looks at the load once, then goes on every `intervalMs`. */
  async start(): Promise<void> {
    this.#warn();
    await this.#look();
    for (const repeat of this.#repeats) repeat.start();
  }

  stop(): void {
    this.#ended.abort();
    for (const repeat of this.#repeats) repeat.stop();
  }

  tokenSeen(): void {
    this.#pulse.sign(this.#options.now());
  }

  /** Notes that the engine has a prompt. @returns to be called when its answer has begun, or the engine no longer has it */
  promptSent(tokensMax: number): () => void {
    const prompt = { sentAtMs: this.#options.now(), tokensMax };
    this.#prompts.add(prompt);
    return () => void this.#prompts.delete(prompt);
  }

  /** Makes the next round inspect the engine: its answers no longer look like those of the engine that was inspected. */
  inspectSoon(): void {
    this.#inspectionDue = true;
  }

  get info(): EngineInfo {
    return this.#facts.info;
  }

  /** Whether the engine keeps budgets of thoughts, as far as is known: its flag is seen, its environment is not. */
  get keepsThoughtBudgets(): boolean {
    return this.#facts.settings.enable_strict_thinking && !this.#ignoresBudgets;
  }

  /** Notes that a thought went on past its budget. It holds until the engine has been inspected after a start. */
  thoughtBudgetIgnored(): void {
    if (this.#ignoresBudgets) return;
    this.#ignoresBudgets = true;
    const change = 'Start SGLang with SGLANG_MAX_THINK_TOKENS=10000000 in its environment.';
    this.#options.log('thinking_budget_ignored', { change });
  }

  /** The names of the engine's parsers. */
  get parsers(): ParserNames {
    const { reasoning_parser: reasoning, tool_call_parser: tools } = this.#facts.settings;
    return { reasoning, tools };
  }

  /** Whether a seed repeats an answer. */
  get deterministic(): boolean {
    return this.#facts.settings.enable_deterministic_inference;
  }

  /** The tokens that the engine has for a prompt and its answer; null: not known. */
  get roomTokens(): number | null {
    return roomTokens(this.#facts.settings);
  }

  /** Notes the longest prompt that is sold, as a request names it. The next round inspects whether the engine takes it. */
  sellsContext(contextTokens: number): void {
    if (contextTokens === this.#contextTokens) return;
    this.#contextTokens = contextTokens;
    this.#inspectionDue = true;
  }

  /** Whether the engine, when last inspected, met the requirements for being sold. */
  get fits(): boolean {
    return this.#faults.length === 0;
  }

  get healthy(): boolean {
    return !(this.#hung || this.#off || this.#unknown) && this.fits;
  }

  /** How long the engine has shown no sign of life. */
  get silentMs(): number {
    return Math.max(0, this.#pulse.silentMs(this.#options.now()));
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

  async #look(): Promise<void> {
    const { engine, now } = this.#options;
    const queuedPerRankMax = this.#facts.settings.max_queued_requests;
    const askedAtMs = now();
    const look = await readLoad(engine, { queuedPerRankMax });
    if (look === 'refused') {
      this.load = NO_LOAD;
      return this.#refused();
    }
    this.load = look?.load ?? this.load;
    this.#pulse.look(askedAtMs, look?.ranks ?? null);
    this.#stopped = this.#pulse.isSilent && (await this.#options.hasStopped());
    this.#judge();
  }

  async #check(): Promise<void> {
    const { engine, now } = this.#options;
    const askedAtMs = now();
    const health = await checkHealth(engine, { now, signal: this.#ended.signal });
    if (this.#ended.signal.aborted || health === 'unknown') return;
    if (health === 'refused') return this.#refused();
    this.#off = health === 'off';
    // The process that answers after a start is inspected before it serves.
    if (this.#off) this.#unknown = true;
    // The scheduler has sent something since the question; that can have been long before the answer.
    else this.#pulse.sign(askedAtMs);
    this.#judge();
  }

  #refused(): void {
    this.#off = true;
    this.#unknown = true;
    this.#pulse.reset(this.#options.now());
    this.#report();
  }

  #judge(): void {
    const { now, log } = this.#options;
    const hung =
      this.#stopped || this.#pulse.isHung(now(), [...this.#prompts], stepLimits(this.#facts.settings));
    if (hung && !this.#hung) log('engine_hung', { silent_ms: Math.round(this.silentMs) });
    this.#hung = hung;
    this.#report();
  }

  #report(): void {
    if (this.healthy === this.#wasHealthy) return;
    this.#wasHealthy = this.healthy;
    this.#options.onHealth();
  }

  /** Logs what the engine could do better, once. */
  #warn(): void {
    const warnings = findWarnings(this.#facts).join(' ');
    if (warnings !== this.#warned && warnings !== '') this.#options.log('engine_warning', { warnings });
    this.#warned = warnings;
  }

  /**
   * Inspects an engine that may be another one, that was unfit, or that was inspected long ago: its weights can be exchanged
   * while it runs. Where nothing answers in time, as within a long prefill step, everything stays as it was.
   */
  async #inspectIfDue(): Promise<void> {
    const { inspect, log, now } = this.#options;
    const isOld = now() - this.#inspectedAtMs > INSPECT_EVERY_MS;
    if (this.#off || !(this.#unknown || this.#inspectionDue || !this.fits || isOld)) return;
    this.#inspectionDue = false;
    const inspection = await inspect(this.#contextTokens);
    if (inspection === null) {
      this.#inspectionDue = true;
      return;
    }
    const { facts, faults } = inspection;
    this.#inspectedAtMs = now();
    this.#facts = facts ?? this.#facts;
    if (faults.length > 0 && faults.join() !== this.#faults.join()) {
      log('engine_unfit', { faults: faults.join(' ') });
    }
    if (faults.length === 0 && !this.fits) log('engine_fits');
    this.#faults = faults;
    this.#warn();
    // The process that answers after a start may have another environment.
    if (this.#unknown) this.#ignoresBudgets = false;
    this.#unknown = false;
    this.#report();
  }
}
