/** Seeded randomness: the emulator's text depends only on the seed and the prompt. */

/** Deterministic numbers in [0, 1) for a seed of any text (FNV-1a into mulberry32; not for secrets). */
export function createRandom(seedText: string): () => number {
  let state = hash32(seedText);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** FNV-1a over UTF-16 units; from 0 to 2³² − 1. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
