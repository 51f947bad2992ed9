/**
 * Step 6: passes chunks on and reads their usage on the way. An answer ends where credit does, at the last token that the
 * hold pays for.
 */
import type { NodeChunk, NodeError, NodeUsage } from '../../gpu-pool/protocol/schemas.ts';
import type { Ending, HoldBound } from '../domain/hold.ts';
import type { NanoUsd } from '../domain/money.ts';
import { fromNodeUsage, NO_USAGE, type Usage } from '../domain/usage.ts';
import type { Forwarded } from './attempt.ts';
import type { HoldWindow } from './hold/hold-window.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface MeteredAnswer {
  readonly ending: Ending;
  /** Usage to bill: of what was delivered or, after a disconnect, of what was generated until the engine stopped. */
  readonly usage: Usage;
  /** the limit that ended the answer, when `ending` is out_of_credit */
  readonly ranOut: HoldBound | null;
  /** what the request could cost at the end */
  readonly heldNanoUsd: NanoUsd;
  /** The agent's error, when `ending` is node_failed; null: it gave none. */
  readonly nodeError: NodeError['error']['code'] | null;
  /** the prompt as the node counted it, when `ending` is implausible */
  readonly countedPrompt: number | null;
}

/**
 * The largest usage that a request can have: its prompt, and the completion tokens of all choices together. A count is never cut to
 * these: a larger prompt is refused, and an answer ends at its completion tokens.
 */
export type TokensMost = Pick<Usage, 'promptTokens' | 'completionTokens'>;

/**
 * Yields the chunks that the client may have, those that came together in one list, and returns how the answer ended.
 * @param disconnect once the client has disconnected, chunks are only counted
 */
export async function* meter(
  { stream, first }: Pick<Forwarded, 'stream' | 'first'>,
  most: TokensMost,
  holdWindow: HoldWindow,
  disconnect: ClientDisconnect,
): AsyncGenerator<readonly NodeChunk[], MeteredAnswer> {
  let usage = NO_USAGE;
  const ended = (
    ending: Ending,
    { nodeError = null, countedPrompt = null }: Partial<MeteredAnswer> = {},
  ): MeteredAnswer => ({
    ending: disconnect.aborted && ending !== 'implausible' ? 'client_gone' : ending,
    usage,
    heldNanoUsd: holdWindow.heldNanoUsd,
    ranOut: ending === 'out_of_credit' ? (holdWindow.boundBy ?? 'insufficient_balance') : null,
    nodeError,
    countedPrompt,
  });
  const stop = async () => {
    await stream.askToStop().catch(() => undefined);
    await stream.close();
  };
  for (let event = first; ; event = await stream.next()) {
    if (event.kind === 'end') return ended('finished');
    if (event.kind === 'broken') return ended('node_failed', { nodeError: event.error?.code ?? null });
    let covered: NodeChunk[] = [];
    for (const chunk of stream.withReady(event.chunk)) {
      const advanced = advance(usage, chunk.usage, most);
      if (advanced.promptTokens > most.promptTokens) {
        if (covered.length > 0 && !disconnect.aborted) yield covered;
        await stop();
        return ended('implausible', { countedPrompt: advanced.promptTokens });
      }
      if (!holdWindow.coversNow(advanced)) {
        // Chunks that are paid for do not wait for one that may not be.
        if (covered.length > 0 && !disconnect.aborted) yield covered;
        covered = [];
        if (!(await holdWindow.covers(advanced, stream.node.id))) {
          await stop();
          // This chunk's tokens are not delivered. Where they are the first, the request has given nothing.
          const { completionTokens, reasoningTokens } = usage;
          usage = { ...advanced, completionTokens, reasoningTokens };
          return ended('out_of_credit');
        }
      }
      usage = advanced;
      covered.push(chunk);
    }
    if (disconnect.aborted) continue;
    holdWindow.lookAhead(usage, stream.node.id);
    if (covered.length > 0) yield covered;
  }
}

/** Usage after a chunk. Counts that go down are a node's mistake and are ignored; completion ends at what was asked for. */
function advance(before: Usage, reported: NodeUsage, most: TokensMost): Usage {
  const now = fromNodeUsage(reported);
  const completionTokens = Math.max(
    before.completionTokens,
    Math.min(now.completionTokens, most.completionTokens),
  );
  const { promptTokens, cachedTokens } = now.promptTokens < before.promptTokens ? before : now;
  return {
    promptTokens,
    cachedTokens,
    completionTokens,
    reasoningTokens: Math.min(completionTokens, Math.max(before.reasoningTokens, now.reasoningTokens)),
  };
}
