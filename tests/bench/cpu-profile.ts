/** Takes a CPU profile of a Worker's isolate by workerd's inspector, and finds the functions with the most self time. */
import { writeFileSync } from 'node:fs';

const SAMPLE_EVERY_US = 200;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { functionName: string; url: string; lineNumber: number };
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Takes a profile while `work` runs. */
export async function cpuProfile(inspectorUrl: string, work: () => Promise<unknown>): Promise<CpuProfile> {
  const session = await connect(inspectorUrl);
  try {
    await session.send('Profiler.enable');
    await session.send('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_US });
    await session.send('Profiler.start');
    await work();
    const { profile } = (await session.send('Profiler.stop')) as { profile: CpuProfile };
    return profile;
  } finally {
    session.close();
  }
}

export interface SelfTime {
  readonly name: string;
  readonly ms: number;
  /** The fraction of the time that was not idle. */
  readonly share: number;
}

/** The functions with the most self time, without idle time. */
export function topBySelfTime({ nodes, samples, timeDeltas }: CpuProfile, count: number): SelfTime[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const us = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const name = names.get(id)!;
    us.set(name, (us.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  }
  us.delete('(idle)');
  const total = [...us.values()].reduce((sum, each) => sum + each, 0);
  const sorted = [...us].sort(([, a], [, b]) => b - a).slice(0, count);
  return sorted.map(([name, each]) => ({ name, ms: each / 1_000, share: each / total }));
}

/** Writes a `.cpuprofile` file for Chrome's DevTools. */
export function saveProfile(file: string, profile: CpuProfile): void {
  writeFileSync(file, JSON.stringify(profile));
}

function nameOf({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  const where = url === '' ? '' : ` ${url.split('/').at(-1)}:${lineNumber + 1}`;
  return `${functionName || '(anonymous)'}${where}`;
}

async function connect(url: string) {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)), { once: true });
  });
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data));
    if (error) waiting.get(id)?.reject(new Error(JSON.stringify(error)));
    else waiting.get(id)?.resolve(result);
    waiting.delete(id);
  });
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the inspector is gone'));
  });
  let lastId = 0;
  return {
    send: (method: string, params: object = {}) =>
      new Promise<unknown>((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        socket.send(JSON.stringify({ id, method, params }));
      }),
    close: () => socket.close(),
  };
}
