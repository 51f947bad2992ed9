/**
 * Two minimal Workers. `bare` forwards: the answer never enters JavaScript, so it is the upper limit for any Worker.
 * `reading` does what every metering gateway must: it reads the request's text, fetches with its own headers, signal and
 * timer, and reads and writes the answer's bytes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Upstream } from '../upstream.ts';
import { startWorkerd } from '../workerd.ts';
import { FORWARDS_ONLY, type System } from './system.ts';

const SCRIPT = `export default {
  fetch(request, env) {
    return fetch(env.UPSTREAM + new URL(request.url).pathname, request);
  },
};
`;

const READING = `export default {
  async fetch(request, env, ctx) {
    const answered = answer(request, env);
    ctx.waitUntil(answered);
    return answered;
  },
};

async function answer(request, env) {
  const body = await request.text();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), 60000);
  const upstream = await fetch(env.UPSTREAM + new URL(request.url).pathname, {
    method: 'POST',
    headers: { authorization: request.headers.get('authorization'), 'content-type': 'application/json' },
    body,
    redirect: 'manual',
    signal: abort.signal,
  });
  const reader = upstream.body.getReader();
  const headers = { 'content-type': upstream.headers.get('content-type'), 'x-request-id': crypto.randomUUID() };
  if (!headers['content-type'].includes('event-stream')) {
    const decoder = new TextDecoder();
    let text = '';
    for (let read = await reader.read(); !read.done; read = await reader.read())
      text += decoder.decode(read.value, { stream: true });
    clearTimeout(timer);
    return new Response(text, { headers });
  }
  const pull = async (controller) => {
    const { done, value } = await reader.read();
    if (!done) return controller.enqueue(value);
    clearTimeout(timer);
    controller.close();
  };
  return new Response(new ReadableStream({ pull }, { highWaterMark: 16 }), { headers });
}
`;

/** Writes the bare Worker's script to `dir`. @returns its path */
export function bareScript(dir: string): string {
  return written(dir, 'bare', SCRIPT);
}

function written(dir: string, name: string, text: string): string {
  const script = join(dir, `${name}.js`);
  writeFileSync(script, text);
  return script;
}

export function startBare(dir: string, upstream: Upstream): Promise<System> {
  return start('bare', bareScript(dir), upstream);
}

export function startReading(dir: string, upstream: Upstream): Promise<System> {
  return start('reading', written(dir, 'reading', READING), upstream);
}

async function start(name: 'bare' | 'reading', script: string, upstream: Upstream): Promise<System> {
  const settings = { UPSTREAM: `http://127.0.0.1:${upstream.port}` };
  const worker = await startWorkerd({ modules: [script], settings, persistTo: null, inspected: false });
  const { port, pids } = worker;
  return { ...FORWARDS_ONLY, name, port, pids, stop: () => worker.stop() };
}
