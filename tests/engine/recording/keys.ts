/** An engine and its two keys, read from the engine's own configuration file. */
import { readFileSync } from 'node:fs';
import type { Target } from './exchange.ts';

/** @throws Error when the file lacks a key */
export function targetOf(url: string, keysFile: string): Target {
  const text = readFileSync(keysFile, 'utf8');
  const key = (name: string) => {
    const value = new RegExp(`^${name}: *(\\S+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`${keysFile} has no ${name}.`);
    return value;
  };
  return { url, keys: { user: key('api-key'), admin: key('admin-api-key') } };
}
