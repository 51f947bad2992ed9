/** A system under test: something that answers OpenAI's `/v1/chat/completions`. */
import type { LoadOrder } from '../load.ts';

export interface System extends Pick<LoadOrder, 'port' | 'path' | 'headers' | 'keys'> {
  readonly name: SystemName;
  /** whose CPU time and memory are its */
  readonly pids: readonly number[];
  /** What it still has to do for so many requests that it has answered; null: nothing comes after an answer. */
  readonly pending: ((requests: number) => Promise<number>) | null;
  /** After the last of them. @throws Error when they left something that should not be there */
  verify(requests: number): Promise<void>;
  stop(): Promise<void>;
}

export const SYSTEM_NAMES = ['upstream', 'bare', 'reading', 'tollgate', 'portkey'] as const;
export type SystemName = (typeof SYSTEM_NAMES)[number];

export const CHAT_PATH = '/v1/chat/completions';

/** Of a system that only passes requests on. */
export const PASSES_ON = {
  path: CHAT_PATH,
  headers: {},
  keys: ['x'],
  pending: null,
  verify: async () => undefined,
} as const;
