/** A client of the emulator that keeps the bytes it received. */
import { afterEach } from 'vitest';
import { type Emulator, startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';

const running: Emulator[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

/** An emulator that never waits, parses R1's reasoning and reports its cache; it is closed after the test. */
export async function emulate(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const emulator = await startEmulator({
    profile: '8xh200',
    speed: 0,
    cacheReport: true,
    reasoningParser: 'deepseek-r1',
    toolCallParser: 'deepseekv3',
    ...options,
  });
  running.push(emulator);
  return emulator;
}

export const user = (content: string) => [{ role: 'user', content }];

export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body), ...init });
}

// biome-ignore lint/suspicious/noExplicitAny: answers are checked member by member
export type Json = any;

/** One answer without streaming. */
export async function complete(url: string, body: object): Promise<Json> {
  return (await post(url, { model: 'r1', ...body })).json();
}

export interface Streamed {
  status: number;
  raw: string;
  events: Json[];
  done: boolean;
  /** The connection ended before the stream did. */
  broken: boolean;
}

/** Reads one streamed answer, to its end or to the end of the connection. */
export async function stream(url: string, body: object): Promise<Streamed> {
  const options = { include_usage: true, continuous_usage_stats: true };
  const response = await post(url, { model: 'r1', stream: true, stream_options: options, ...body });
  const parts: Uint8Array[] = [];
  let broken = false;
  try {
    for await (const part of response.body!) parts.push(part);
  } catch {
    broken = true;
  }
  const raw = Buffer.concat(parts).toString('utf8');
  const payloads = raw.split(/\r?\n\r?\n/).flatMap((frame) => /^data: (.*)$/.exec(frame)?.[1] ?? []);
  const events = payloads.filter((data) => data !== '[DONE]').flatMap(parsed);
  return { status: response.status, raw, events, done: payloads.includes('[DONE]'), broken };
}

function parsed(data: string): Json[] {
  try {
    return [JSON.parse(data)];
  } catch {
    return [];
  }
}

/** The text of one choice, from the given member of its deltas. */
export function textOf({ events }: Streamed, member: 'content' | 'reasoning_content', index = 0): string {
  return events
    .flatMap((event) => event.choices ?? [])
    .filter((choice: Json) => choice.index === index)
    .map((choice: Json) => choice.delta[member] ?? '')
    .join('');
}

export const usages = ({ events }: Streamed): Json[] => events.flatMap((event) => event.usage ?? []);
export const lastUsage = (streamed: Streamed): Json => usages(streamed).at(-1);
