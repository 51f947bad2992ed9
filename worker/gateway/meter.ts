/** Step 6: passes chunks on and reads usage on the way. Where credit ends, so does the answer, at the last covered token. */
import type { NodeChunk, NodeUsage } from '../../gpu-pool/protocol/schemas.ts';
import type { Ending, HoldBound } from '../domain/hold.ts';
import { fromNodeUsage, NO_USAGE, type Usage } from '../domain/usage.ts';
import type { Forwarded } from './attempt.ts';
import type { Purse } from './lease/request-hold.ts';
import type { ClientDisconnect } from './stream/disconnect.ts';

export interface MeteredAnswer {
  readonly ending: Ending;
  /** to bill: what was delivered, or after the client left what was generated until the engine stopped */
  readonly usage: Usage;
  /** what ran out, when `ending` is out_of_credit */
  readonly ranOut: HoldBound | null;
}

export type TokensMost = Pick<Usage, 'promptTokens' | 'completionTokens'>;

/**
 * Yields the chunks that the client may have, together those that came together, and returns how the answer ended.
 * @param most what the request can have used at most: its prompt, and over all choices what was asked for
 * @param gone aborted when the client has left: from then on chunks are only counted
 */
export async function* meter(
  { stream, first }: Pick<Forwarded, 'stream' | 'first'>,
  most: TokensMost,
  purse: Purse,
  gone: ClientDisconnect,
): AsyncGenerator<readonly NodeChunk[], MeteredAnswer> {
  let usage = NO_USAGE;
  const ended = (ending: Ending): MeteredAnswer => ({
    ending: gone.aborted ? 'client_gone' : ending,
    usage,
    ranOut: ending === 'out_of_credit' ? (purse.boundBy ?? 'insufficient_balance') : null,
  });
  for (let event = first; ; event = await stream.next()) {
    if (event.kind === 'end') return ended('finished');
    if (event.kind === 'broken') return ended('node_failed');
    let covered: NodeChunk[] = [];
    for (const chunk of stream.withReady(event.chunk)) {
      const advanced = advance(usage, chunk.usage, most);
      if (!purse.coversNow(advanced)) {
        // what is paid for does not wait for what may not be
        if (covered.length > 0 && !gone.aborted) yield covered;
        covered = [];
        if (!(await purse.covers(advanced, stream.node.id))) {
          await stream.askToStop().catch(() => undefined);
          await stream.close();
          // the prompt was worked on, as far as credit goes; the tokens of this chunk stay here
          const { completionTokens, reasoningTokens } = usage;
          usage = { ...advanced, completionTokens, reasoningTokens };
          return ended('out_of_credit');
        }
      }
      usage = advanced;
      covered.push(chunk);
    }
    if (gone.aborted) continue;
    purse.lookAhead(usage, stream.node.id);
    if (covered.length > 0) yield covered;
  }
}

/** Counts never go back and never pass what is possible: a node that says so is not believed. */
function advance(before: Usage, reported: NodeUsage, most: TokensMost): Usage {
  const now = fromNodeUsage(reported);
  const completionTokens = Math.max(
    before.completionTokens,
    Math.min(now.completionTokens, most.completionTokens),
  );
  const { promptTokens, cachedTokens } = now.promptTokens < before.promptTokens ? before : now;
  return {
    promptTokens: Math.min(promptTokens, most.promptTokens),
    cachedTokens: Math.min(cachedTokens, most.promptTokens),
    completionTokens,
    reasoningTokens: Math.min(completionTokens, Math.max(before.reasoningTokens, now.reasoningTokens)),
  };
}
