/** Ids as the Worker makes them, from the world's time and chance. */
import { type IdPrefix, newId as makeId } from '../../worker/domain/ids.ts';
import type { Universe } from './universe.ts';

export function newId({ nowMs, secretRandom }: Universe, prefix: IdPrefix): string {
  return makeId(prefix, Math.floor(nowMs), secretRandom.fill(new Uint8Array(10)));
}
