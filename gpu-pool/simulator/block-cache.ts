/**
 * A node's prefix cache in blocks of the trace: the least recently used blocks are evicted first, never those in
 * use. A block's id names its whole prefix, so a set of ids is a radix tree. A prompt is touched from its end to
 * its start, which keeps leaves older than their parents, as eviction in a radix tree would.
 */
export class BlockCache {
  /** In order of use, oldest first. */
  readonly #blocks = new Map<number, Block>();
  #tokens = 0;
  #lockedTokens = 0;

  /** All blocks, in tokens. */
  get tokens(): number {
    return this.#tokens;
  }

  get lockedTokens(): number {
    return this.#lockedTokens;
  }

  /** How many leading blocks are computed and cached. A match does not count as use. */
  match(blocks: readonly number[]): number {
    let matched = 0;
    while (matched < blocks.length && this.#blocks.get(blocks[matched]!)?.ready) matched += 1;
    return matched;
  }

  /** Tokens of the blocks that no running request holds yet: locking the prompt would newly occupy them. */
  unlockedTokens(blocks: readonly number[], tokensOf: (index: number) => number): number {
    let tokens = 0;
    for (let index = 0; index < blocks.length; index++) {
      if (!this.#blocks.get(blocks[index]!)?.locks) tokens += tokensOf(index);
    }
    return tokens;
  }

  /** Reserves a prompt's blocks. A block that is not cached yet counts as computed only after `ready`. */
  lock(blocks: readonly number[], tokensOf: (index: number) => number): void {
    for (let index = blocks.length - 1; index >= 0; index--) {
      const id = blocks[index]!;
      let block = this.#blocks.get(id);
      if (!block) {
        block = { tokens: tokensOf(index), locks: 0, ready: false };
        this.#tokens += block.tokens;
      }
      if (block.locks === 0) this.#lockedTokens += block.tokens;
      block.locks += 1;
      this.#touch(id, block);
    }
  }

  ready(blocks: readonly number[]): void {
    for (const id of blocks) this.#blocks.get(id)!.ready = true;
  }

  unlock(blocks: readonly number[]): void {
    for (let index = blocks.length - 1; index >= 0; index--) {
      const id = blocks[index]!;
      const block = this.#blocks.get(id)!;
      block.locks -= 1;
      if (block.locks === 0) this.#lockedTokens -= block.tokens;
      this.#touch(id, block);
    }
  }

  /** Evicts until at most `tokensMax` are left, or only blocks in use. */
  evictTo(tokensMax: number): void {
    if (this.#tokens <= tokensMax) return;
    for (const [id, block] of this.#blocks) {
      if (block.locks > 0) continue;
      this.#blocks.delete(id);
      this.#tokens -= block.tokens;
      if (this.#tokens <= tokensMax) return;
    }
  }

  #touch(id: number, block: Block): void {
    this.#blocks.delete(id);
    this.#blocks.set(id, block);
  }
}

interface Block {
  readonly tokens: number;
  /** Number of running requests that use it. */
  locks: number;
  ready: boolean;
}
