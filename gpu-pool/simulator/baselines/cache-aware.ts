/**
 * SGLang router's `cache_aware`: an approximate radix tree of which prompts were sent to which node. Above a match
 * of 0.3 the node that has the prefix gets the request, else the node with the smallest tree. When nodes are out of
 * balance (max − min > 64 and max > 1.5 × min requests) the shortest queue gets it. Each router knows only its own
 * requests.
 */
import type { Candidate } from '../../../worker/domain/routing/policy.ts';
import { leastBy, type MakePolicy, requestsAt, type SimRequest } from './request.ts';

const MATCH_MIN = 0.3;
const IMBALANCE_REQUESTS = 64;
const IMBALANCE_FACTOR = 1.5;
/** `max_tree_size` is 2²⁶ characters by default; a block is about 2,000 of them. */
const TREE_BLOCKS_MAX = 2 ** 26 / 2_000;

export const cacheAware: MakePolicy = () => {
  const tree = new PrefixTree();
  return (candidates, request) => {
    const chosen = choose(candidates, request, tree);
    if (chosen) tree.insert(chosen.node.id, request.blocks);
    return chosen;
  };
};

function choose(candidates: readonly Candidate[], { blocks }: SimRequest, tree: PrefixTree) {
  const counts = candidates.map(requestsAt);
  const most = Math.max(...counts);
  const least = Math.min(...counts);
  if (most - least > IMBALANCE_REQUESTS && most > IMBALANCE_FACTOR * least) {
    return leastBy(candidates, requestsAt);
  }
  const { nodeId, matched } = tree.match(blocks);
  const owner = candidates.find(({ node }) => node.id === nodeId);
  if (owner && matched / blocks.length > MATCH_MIN) return owner;
  return leastBy(candidates, ({ node }) => tree.size(node.id));
}

/** Maps each block to the node that it was last sent to. The least recently used blocks are dropped first. */
class PrefixTree {
  readonly #owner = new Map<number, string>();
  readonly #sizes = new Map<string, number>();

  match(blocks: readonly number[]): { nodeId: string | null; matched: number } {
    let matched = 0;
    while (matched < blocks.length && this.#owner.has(blocks[matched]!)) matched += 1;
    return { nodeId: matched === 0 ? null : this.#owner.get(blocks[matched - 1]!)!, matched };
  }

  insert(nodeId: string, blocks: readonly number[]): void {
    for (let index = blocks.length - 1; index >= 0; index--) {
      const block = blocks[index]!;
      this.#forget(block);
      this.#owner.set(block, nodeId);
      this.#sizes.set(nodeId, this.size(nodeId) + 1);
    }
    while (this.#owner.size > TREE_BLOCKS_MAX) this.#forget(this.#owner.keys().next().value!);
  }

  size(nodeId: string): number {
    return this.#sizes.get(nodeId) ?? 0;
  }

  #forget(block: number): void {
    const before = this.#owner.get(block);
    if (before === undefined) return;
    this.#owner.delete(block);
    this.#sizes.set(before, this.size(before) - 1);
  }
}
