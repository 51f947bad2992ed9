/** The cache of the data center in which all isolates run: a promise of nothing, kept for whole seconds at most. */
import type { Life } from '../scheduler.ts';
import { WORLD } from '../scheduler.ts';
import type { Universe } from '../universe.ts';
import { SimResponse } from './http.ts';

const MAX_AGE = /^max-age=(\d+)$/;

export class SimCache {
  readonly #universe: Universe;
  readonly #entries = new Map<string, { text: string; untilMs: number }>();

  constructor(universe: Universe) {
    this.#universe = universe;
  }

  match(life: Life, key: string): Promise<SimResponse | undefined> {
    const { faults, scheduler, trace } = this.#universe;
    return new Promise((resolve, reject) => {
      scheduler.after(faults.latencyMs(), life, () => {
        if (faults.chance('cache_fails', 0.02)) return reject(new Error('internal error'));
        const entry = this.#entries.get(key);
        const hit = entry && this.#universe.nowMs < entry.untilMs && !faults.chance('cache_evicts', 0.05);
        trace.count(`cache ${hit ? 'hit' : 'miss'}`);
        resolve(hit ? new SimResponse(entry.text) : undefined);
      });
    });
  }

  async put(life: Life, key: string, response: SimResponse): Promise<void> {
    const { faults, scheduler } = this.#universe;
    const maxAge = MAX_AGE.exec(response.headers.get('cache-control') ?? '')?.[1];
    if (maxAge === undefined) throw new Error('this would be kept for as long as the zone says');
    const text = await response.text();
    return new Promise((resolve, reject) => {
      scheduler.after(faults.latencyMs(), WORLD, () => {
        const failed = faults.chance('cache_fails', 0.02);
        const untilMs = this.#universe.nowMs + 1_000 * Number(maxAge);
        if (!failed) this.#entries.set(key, { text, untilMs });
        const back = failed ? () => reject(new Error('internal error')) : resolve;
        scheduler.after(faults.latencyMs(), life, back);
      });
    });
  }
}
