/**
 * A bounded map whose values expire. It must hold values, never promises: a promise belongs to the request that made it,
 * and another request that awaits it can hang (Workers, "cross-request promise resolution").
 */
export class TtlCache<K, V> {
  readonly #entries = new Map<K, { value: V; expiresAtMs: number }>();
  readonly #ttlMs: number;
  readonly #sizeMax: number;

  constructor(options: { ttlMs: number; sizeMax: number }) {
    this.#ttlMs = options.ttlMs;
    this.#sizeMax = options.sizeMax;
  }

  get(key: K, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    return entry && nowMs < entry.expiresAtMs ? entry.value : undefined;
  }

  set(key: K, value: V, nowMs: number): void {
    if (this.#entries.size >= this.#sizeMax) this.#entries.delete(this.#entries.keys().next().value as K);
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAtMs: nowMs + this.#ttlMs });
  }
}
