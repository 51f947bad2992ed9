/** The cache of the data center in which all isolates run. It may fail or evict at any time, and counts whole seconds. */
import type { Faults } from '../faults.ts';
import { type Life, type Timers, WORLD } from '../life.ts';
import type { Trace } from '../trace.ts';
import { SimResponse } from './http.ts';

const MAX_AGE = /^max-age=(\d+)$/;

/** The parts of a world that its cache needs; they are read at each call, because the world is still being built. */
interface CacheWorld {
  readonly faults: Faults;
  readonly scheduler: Timers;
  readonly trace: Trace;
}

export class SimCache {
  readonly #world: CacheWorld;
  readonly #entries = new Map<string, { text: string; untilMs: number }>();

  constructor(world: CacheWorld) {
    this.#world = world;
  }

  match(life: Life, key: string): Promise<SimResponse | undefined> {
    const { faults, scheduler, trace } = this.#world;
    return new Promise((resolve, reject) => {
      scheduler.after(faults.latencyMs(), life, () => {
        if (faults.chance('cache_fails', 0.02)) return reject(new Error('internal error'));
        const entry = this.#entries.get(key);
        const hit = entry && scheduler.nowMs < entry.untilMs && !faults.chance('cache_evicts', 0.05);
        trace.count(`cache ${hit ? 'hit' : 'miss'}`);
        resolve(hit ? new SimResponse(entry.text) : undefined);
      });
    });
  }

  async put(life: Life, key: string, response: SimResponse): Promise<void> {
    const { faults, scheduler } = this.#world;
    const maxAge = MAX_AGE.exec(response.headers.get('cache-control') ?? '')?.[1];
    if (maxAge === undefined)
      throw new Error('without max-age the zone’s settings would decide how long this is kept');
    const text = await response.text();
    return new Promise((resolve, reject) => {
      scheduler.after(faults.latencyMs(), WORLD, () => {
        const failed = faults.chance('cache_fails', 0.02);
        const untilMs = scheduler.nowMs + 1_000 * Number(maxAge);
        if (!failed) this.#entries.set(key, { text, untilMs });
        const back = failed ? () => reject(new Error('internal error')) : resolve;
        scheduler.after(faults.latencyMs(), life, back);
      });
    });
  }
}
