/**
 * The globals of simulated isolates: the clock and timers of the current context, seeded randomness, light web APIs and
 * the simulated network.
 */
import { createHash } from 'node:crypto';
import type { Globals } from './bundle/bundle.ts';
import { type Context, CURRENT } from './context.ts';
import type { Task } from './life.ts';
import { abortSignals, SimAbortController } from './platform/abort.ts';
import { SimBlob, SimHeaders, SimRequest, SimResponse } from './platform/http.ts';
import { SimCompressionStream, SimIdentityTransformStream, SimReadableStream } from './platform/streams.ts';
import { subtle } from './platform/subtle.ts';

export function simulatedGlobals(): Globals {
  const own = {
    CURRENT,
    STATE_INITS: [],
    Date: SimDate,
    dateNow,
    mathRandom: () => currentContext().secretRandom.next(),
    setTimeout: setTimer,
    clearTimeout: clearTimer,
    setInterval: setRepeating,
    clearInterval: clearTimer,
    scheduler: { wait: (ms: number) => new Promise<void>((resolve) => void setTimer(resolve, ms)) },
    crypto: {
      subtle,
      getRandomValues: <T extends ArrayBufferView>(view: T) => currentContext().secretRandom.fill(view),
      randomUUID: () => uuid(currentContext().secretRandom.fill(new Uint8Array(16))),
    },
    caches: {
      open: async () => {
        const life = currentContext();
        return {
          match: (key: string) => life.cache.match(life, key),
          put: (key: string, response: SimResponse) => life.cache.put(life, key, response),
        };
      },
    },
    fetch: (url: string, init: Record<string, unknown>) => currentContext().fetch(url, init),
    Headers: SimHeaders,
    Request: SimRequest,
    Response: SimResponse,
    ReadableStream: SimReadableStream,
    IdentityTransformStream: SimIdentityTransformStream,
    CompressionStream: SimCompressionStream,
    DecompressionStream: class {},
    Blob: SimBlob,
    WebSocketRequestResponsePair: class {},
    AbortController: SimAbortController,
    AbortSignal: abortSignals(setTimer),
    console: { log, info: log, warn: log, error: log, debug: log },
  };
  return { ...own, globalThis: own };
}

/** @throws Error when code of the Worker runs outside every context */
function currentContext(): Context {
  if (CURRENT.context === null) throw new Error('the Worker runs outside every isolate');
  return CURRENT.context;
}

/** The time in whole milliseconds, as in Workers; 0 while modules are evaluated, where there is no context. */
function dateNow(): number {
  const { context } = CURRENT;
  return context === null ? 0 : Math.floor(context.scheduler.nowMs + context.offsetMs);
}

class SimDate extends Date {
  constructor(...parts: [] | [number | string | Date]) {
    super(parts.length === 0 ? dateNow() : parts[0]);
  }
  static override now(): number {
    return dateNow();
  }
}

function setTimer(run: () => void, ms = 0): Task {
  const context = currentContext();
  return context.scheduler.after(ms, context, run);
}

function clearTimer(task: { run: unknown } | undefined): void {
  if (task) task.run = null;
}

function setRepeating(run: () => void, ms: number) {
  const handle: { run: (() => void) | null } = { run };
  const again = () => {
    if (handle.run === null) return;
    handle.run();
    setTimer(again, ms);
  };
  setTimer(again, ms);
  return handle;
}

function log(...parts: unknown[]): void {
  CURRENT.context?.log(parts.map(toText).join(' '));
}

function toText(part: unknown): string {
  return part instanceof Error ? `${part.stack}` : typeof part === 'string' ? part : JSON.stringify(part);
}

function uuid(bytes: Uint8Array): string {
  const hex = createHash('sha256').update(bytes).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
