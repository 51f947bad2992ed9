/** Recorded exchanges, as they are kept in a file: one a line. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Release } from '../folder.ts';
import type { Answer, Ask } from './exchange.ts';

export interface Recording {
  readonly name: string;
  readonly ask: Ask;
  /** The text that the weights wrote for each choice; only answers have it. */
  readonly tokens?: readonly string[];
  readonly answer: Answer;
}

export const RECORDINGS = fileURLToPath(new URL('../../gpu-pool/emulator/recordings/', import.meta.url));

export function fileOf(release: Release, group: 'exchanges' | 'scenarios'): string {
  return join(RECORDINGS, `${release}-${group}.jsonl`);
}

export function readLines<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
}

/** The value without what belongs to one machine or run: paths of installed packages, and times in messages. */
export function redacted<T>(value: T): T {
  const text = JSON.stringify(value)
    .replaceAll(/\/[^"' ]*?\/site-packages\//g, '/site-packages/')
    .replaceAll(/\[\d\d:\d\d:\d\d\] \/project/g, '[00:00:00] /project');
  return JSON.parse(text) as T;
}
