/**
 * The prefix cache: a tree of pages of tokens under one root per key, from which the least recently used leaves
 * are evicted. A running request locks its path, so eviction never takes a page in use.
 */
import assert from 'node:assert/strict';

/** Tokens of a page where nothing else is said, as the attention kernels for MLA have it. */
export const PAGE_TOKENS = 64;

/** A node of the tree; the path from its root is a cached prefix of `depthTokens` tokens. */
export interface CacheNode {
  readonly parent: CacheNode | null;
  readonly page: string;
  readonly depthTokens: number;
  readonly children: Map<string, CacheNode>;
  locks: number;
  usedAt: number;
}

export class RadixCache {
  #roots = new Map<string, CacheNode>();
  #leaves = new Set<CacheNode>();
  #tokens = 0;
  #lockedTokens = 0;
  #uses = 0;
  readonly #enabled: boolean;
  readonly #pageTokens: number;

  /** When not `enabled` the cache stays empty, as SGLang's chunk cache does (`--disable-radix-cache`). */
  constructor({ enabled = true, pageTokens = PAGE_TOKENS }: { enabled?: boolean; pageTokens?: number } = {}) {
    this.#enabled = enabled;
    this.#pageTokens = pageTokens;
  }

  /** Tokens in the tree. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Tokens of the tree that running requests use, which cannot be evicted. */
  get lockedTokens(): number {
    return this.#lockedTokens;
  }

  /**
   * Finds the longest cached prefix, in whole pages. The last token is never matched: the engine must compute at
   * least one token to have something to sample from. A match does not count as use: only a lock refreshes the
   * path.
   */
  match(key: string, tokens: readonly string[]): CacheNode {
    let node = this.#root(key);
    const lastStart = tokens.length - 1 - this.#pageTokens;
    for (let start = 0; start <= lastStart; start += this.#pageTokens) {
      const child = node.children.get(this.#pageAt(tokens, start));
      if (!child) break;
      node = child;
    }
    return node;
  }

  /** How much of `tokens` is found once they have been put into the tree. */
  depthOnceFilled({ length }: readonly string[]): number {
    return this.#enabled ? Math.floor((length - 1) / this.#pageTokens) * this.#pageTokens : 0;
  }

  /** Puts every whole page of `tokens` into the tree and returns the deepest node. */
  insert(key: string, tokens: readonly string[]): CacheNode {
    let node = this.#root(key);
    if (!this.#enabled) return node;
    const usedAt = ++this.#uses;
    for (let start = 0; start + this.#pageTokens <= tokens.length; start += this.#pageTokens) {
      const page = this.#pageAt(tokens, start);
      let child = node.children.get(page);
      if (!child) {
        child = {
          parent: node,
          page,
          depthTokens: start + this.#pageTokens,
          children: new Map(),
          locks: 0,
          usedAt,
        };
        node.children.set(page, child);
        this.#leaves.delete(node);
        this.#leaves.add(child);
        this.#tokens += this.#pageTokens;
      }
      child.usedAt = usedAt;
      node = child;
    }
    return node;
  }

  /** Marks the path to `node` as in use, which also makes it the most recently used. */
  lock(node: CacheNode): void {
    const usedAt = ++this.#uses;
    for (let index: CacheNode | null = node; index?.parent; index = index.parent) {
      index.usedAt = usedAt;
      if (index.locks++ === 0) this.#lockedTokens += this.#pageTokens;
    }
  }

  unlock(node: CacheNode): void {
    for (let index: CacheNode | null = node; index?.parent; index = index.parent) {
      assert(index.locks > 0, 'a path is unlocked as often as it was locked');
      if (--index.locks === 0) this.#lockedTokens -= this.#pageTokens;
    }
  }

  /** Evicts unlocked leaves, least recently used first, until at most `tokensMax` remain (or all are locked). */
  evictTo(tokensMax: number): void {
    while (this.#tokens > tokensMax) {
      const leaves = [...this.#leaves].filter((leaf) => leaf.locks === 0).sort((a, b) => a.usedAt - b.usedAt);
      if (leaves.length === 0) return;
      this.#evictInOrder(leaves, tokensMax);
    }
  }

  /** Evicts from the front until enough is free, or until a parent has become a leaf that is not next in order. */
  #evictInOrder(leaves: CacheNode[], tokensMax: number): void {
    for (const [index, oldest] of leaves.entries()) {
      const nextUsedAt = leaves[index + 1]?.usedAt ?? Number.POSITIVE_INFINITY;
      let node = oldest;
      do {
        if (this.#tokens <= tokensMax) return;
        node = this.#remove(node);
      } while (this.#isFreeLeaf(node) && node.usedAt <= nextUsedAt);
      if (this.#isFreeLeaf(node)) return;
    }
  }

  #isFreeLeaf(node: CacheNode): boolean {
    return node.parent !== null && node.children.size === 0 && node.locks === 0;
  }

  #remove(leaf: CacheNode): CacheNode {
    const parent = leaf.parent;
    assert(parent && leaf.children.size === 0, 'only leaves are evicted');
    parent.children.delete(leaf.page);
    this.#leaves.delete(leaf);
    if (parent.parent && parent.children.size === 0) this.#leaves.add(parent);
    this.#tokens -= this.#pageTokens;
    return parent;
  }

  #pageAt(tokens: readonly string[], start: number): string {
    return tokens.slice(start, start + this.#pageTokens).join('\u0000');
  }

  #root(key: string): CacheNode {
    let root = this.#roots.get(key);
    if (!root) {
      root = { parent: null, page: '', depthTokens: 0, children: new Map(), locks: 0, usedAt: 0 };
      this.#roots.set(key, root);
    }
    return root;
  }
}
