/** The least that a Worker in front of an upstream can do: pass on. What it costs is the limit for any other. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Upstream } from '../upstream.ts';
import { startWorkerd } from '../workerd.ts';
import { PASSES_ON, type System } from './system.ts';

const SCRIPT = `export default {
  fetch(request, env) {
    return fetch(env.UPSTREAM + new URL(request.url).pathname, request);
  },
};
`;

/** @returns the path of its script. @param dir where it is written */
export function bareScript(dir: string): string {
  const script = join(dir, 'bare.js');
  writeFileSync(script, SCRIPT);
  return script;
}

export async function startBare(dir: string, upstream: Upstream): Promise<System> {
  const settings = { UPSTREAM: `http://127.0.0.1:${upstream.port}` };
  const worker = await startWorkerd({
    modules: [bareScript(dir)],
    settings,
    persistTo: null,
    inspected: false,
  });
  const { port, pids } = worker;
  return { ...PASSES_ON, name: 'bare', port, pids, stop: () => worker.stop() };
}
