/** How far one request is: when its first and latest tokens came, what the journal knows of it, and whether the engine is done. */
import type { NodeUsage } from '../protocol/schemas.ts';
import type { GenerateContext } from './generate-context.ts';

/** The journal records the progress of a request at most this often. */
const JOURNAL_INTERVAL_MS = 1_000;

export class RunProgress {
  readonly #context: GenerateContext;
  readonly #seq: number;
  readonly #startedAtMs: number;
  #firstTokenAtMs: number | null = null;
  #latestAtMs: number;
  #journaledAtMs: number;
  /** Whether the engine itself ended its answer, and so has nothing left to stop. */
  engineEnded = false;

  constructor(context: GenerateContext, options: { seq: number; startedAtMs: number }) {
    this.#context = context;
    this.#seq = options.seq;
    this.#startedAtMs = options.startedAtMs;
    this.#latestAtMs = options.startedAtMs;
    this.#journaledAtMs = options.startedAtMs;
  }

  /** Whether the first token has come. */
  get begun(): boolean {
    return this.#firstTokenAtMs !== null;
  }

  /** Null: no token has come. */
  get ttftMs(): number | null {
    return this.#firstTokenAtMs === null ? null : Math.max(0, this.#firstTokenAtMs - this.#startedAtMs);
  }

  /** When the next token must have come. */
  get deadlineMs(): number {
    const { firstTokenMs, idleMs } = this.#context.deadlines;
    return this.#latestAtMs + (this.begun ? idleMs : firstTokenMs);
  }

  /** Records that the stream advanced: for the deadlines, the health of the engine, and the journal. */
  note(usage: NodeUsage, { text }: { text: boolean }): void {
    const nowMs = this.#context.now();
    if (text || usage.completion_tokens > 0) {
      this.#firstTokenAtMs ??= nowMs;
      this.#latestAtMs = nowMs;
      this.#context.watch.tokenSeen();
    }
    if (nowMs - this.#journaledAtMs < JOURNAL_INTERVAL_MS) return;
    this.#journaledAtMs = nowMs;
    this.#context.journal.progress(this.#seq, { usage, ttft_ms: this.ttftMs });
  }
}
