/** Seeded random draws. The draws for the n-th request or fault depend on the seed and n alone, never on what ran before. */
import { createRandom } from '../../gpu-pool/emulator/random.ts';

export interface Draw {
  /** A number in [0, 1). */
  fraction(): number;
  /** An integer; both ends are included. */
  between(least: number, most: number): number;
  of<T>(list: readonly T[]): T;
  /** A key of the table, with the probability of its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
}

export function drawsFor(seed: number, what: string, n: number): Draw {
  const fraction = createRandom(`soak|${seed}|${what}|${n}`);
  return {
    fraction,
    between: (least, most) => least + Math.floor(fraction() * (most - least + 1)),
    of: (list) => list[Math.floor(fraction() * list.length)]!,
    weighted(weights) {
      const entries = Object.entries(weights) as [never, number][];
      let left = fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [key, weight] of entries) {
        left -= weight;
        if (left < 0) return key;
      }
      return entries.at(-1)![0];
    },
  };
}
