import type { MakePolicy } from './request.ts';

export const random: MakePolicy = (chance) => (candidates) =>
  candidates[Math.floor(chance() * candidates.length)] ?? null;
