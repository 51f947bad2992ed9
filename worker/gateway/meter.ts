/**
 * Step 6: passes chunks on and reads usage on the way. The hold grows ahead of need, so the stream does not wait
 * for it; where credit ends, so does the answer, at the last token that the hold covers.
 */
import type { NodeChunk, NodeUsage } from '../../gpu-pool/protocol.ts';
import { type Ending, nextHold, tokensLeft, WINDOW_TOKENS } from '../domain/hold.ts';
import type { NanoUsd } from '../domain/money.ts';
import { fromNodeUsage, NO_USAGE, type Usage } from '../domain/usage.ts';
import type { Admission } from './admit.ts';
import type { Forwarded } from './forward.ts';

export interface Outcome {
  readonly ending: Ending;
  /** to bill: what was delivered, or after the client left what was generated until the engine stopped */
  readonly usage: Usage;
}

export interface Purse {
  /** the hold as the Wallet last told it: a request keeps it when it moves to another node */
  readonly heldNanoUsd: NanoUsd;
  /** Sets the hold as near to `wantedNanoUsd` as credit allows; null when it is no longer held. Renews the lease. */
  resize(wantedNanoUsd: NanoUsd): Promise<NanoUsd | null>;
  readonly leaseMs: number;
}

/** Beside a balance this much larger than the hold, an exact hold frees nothing that anybody misses. */
const AMPLE_FACTOR = 4;
/** How long an engine that was asked to stop gets to report its final count; an engine that goes on is left. */
const STOP_DEADLINE_MS = 10_000;

/**
 * Yields the chunks that the client may have and returns how the answer ended.
 * @param gone aborted when the client has left: from then on chunks are only counted
 */
export async function* meter(
  { stream, first }: Pick<Forwarded, 'stream' | 'first'>,
  admission: Admission,
  purse: Purse,
  gone: AbortSignal,
): AsyncGenerator<NodeChunk, Outcome> {
  const { price, choices } = admission;
  const hold = new GrowingHold(admission, purse);
  const completionTokensMax = admission.maxTokens * choices;
  let usage = NO_USAGE;
  let stopByMs = Number.POSITIVE_INFINITY;
  for (let event = first; ; event = await stream.next(stopByMs - Date.now())) {
    if (event.kind === 'end') return { ending: gone.aborted ? 'client_gone' : 'finished', usage };
    if (event.kind === 'broken') return { ending: gone.aborted ? 'client_gone' : 'node_failed', usage };
    const advanced = advance(usage, event.chunk.usage, completionTokensMax);
    if (!(await hold.covers(advanced))) {
      await stream.askToStop().catch(() => undefined);
      await stream.close();
      return { ending: gone.aborted ? 'client_gone' : 'out_of_credit', usage };
    }
    usage = advanced;
    if (gone.aborted) {
      stopByMs = Math.min(stopByMs, Date.now() + STOP_DEADLINE_MS);
      if (Date.now() < stopByMs) continue;
      await stream.close();
      return { ending: 'client_gone', usage };
    }
    hold.lookAhead(usage, tokensLeft(hold.heldNanoUsd, usage, price) < (WINDOW_TOKENS * choices) / 2);
    yield event.chunk;
  }
}

/** A hold that is resized in the background; at most one call is under way. */
class GrowingHold {
  readonly #admission: Admission;
  readonly #purse: Purse;
  #resizing: Promise<void> | null = null;
  #renewedAtMs = Date.now();
  /** the last resize gave less than was asked for: asking again ahead of need is of no use */
  #exhausted = false;
  #trimmed: boolean;

  constructor(admission: Admission, purse: Purse) {
    this.#admission = admission;
    this.#purse = purse;
    this.#trimmed = admission.availableNanoUsd > AMPLE_FACTOR * admission.heldNanoUsd;
  }

  get heldNanoUsd(): NanoUsd {
    return this.#purse.heldNanoUsd;
  }

  /** Whether the hold pays for `usage`; waits for more only when it must. */
  async covers(usage: Usage): Promise<boolean> {
    const { price } = this.#admission;
    if (tokensLeft(this.heldNanoUsd, usage, price) >= 0) return true;
    await this.#resizing;
    if (tokensLeft(this.heldNanoUsd, usage, price) >= 0) return true;
    await this.#resize(usage);
    return tokensLeft(this.heldNanoUsd, usage, price) >= 0;
  }

  /** Starts a resize when the window runs low, the lease grows old, or the first usage shows that too much is held. */
  lookAhead(usage: Usage, low: boolean): void {
    if (this.#resizing) return;
    const { maxTokens, choices, price } = this.#admission;
    const toCome = maxTokens * choices - usage.completionTokens;
    const old = Date.now() - this.#renewedAtMs > this.#purse.leaseMs / 3;
    const missing = low && !this.#exhausted && tokensLeft(this.heldNanoUsd, usage, price) < toCome;
    if (missing || old || !this.#trimmed) void this.#resize(usage);
    this.#trimmed = true;
  }

  async #resize(usage: Usage): Promise<void> {
    const { price } = this.#admission;
    const wanted = nextHold(usage, price, this.#admission);
    this.#resizing = this.#purse
      .resize(wanted)
      .then((held) => {
        this.#renewedAtMs = Date.now();
        this.#exhausted = held === null || held < wanted;
      })
      // the Wallet could not be reached: what is held stands, and the next need asks again
      .catch(() => undefined)
      .finally(() => {
        this.#resizing = null;
      });
    await this.#resizing;
  }
}

/** Counts never go back and never pass what was asked for: a node that says so is not believed. */
function advance(before: Usage, reported: NodeUsage, completionTokensMax: number): Usage {
  const now = fromNodeUsage(reported);
  const completionTokens = Math.max(
    before.completionTokens,
    Math.min(now.completionTokens, completionTokensMax),
  );
  const { promptTokens, cachedTokens } = now.promptTokens < before.promptTokens ? before : now;
  return {
    promptTokens,
    cachedTokens,
    completionTokens,
    reasoningTokens: Math.min(completionTokens, Math.max(before.reasoningTokens, now.reasoningTokens)),
  };
}
