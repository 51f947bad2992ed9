/** Ids in the Worker's format, from the world's time and randomness. */
import { type IdPrefix, newId as makeId } from '../../worker/domain/ids.ts';
import type { Universe } from './universe.ts';

export function newId({ nowMs, secretRandom }: Universe, prefix: IdPrefix): string {
  return makeId(prefix, Math.floor(nowMs), secretRandom.fill(new Uint8Array(10)));
}
