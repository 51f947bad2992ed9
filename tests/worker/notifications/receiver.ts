/**
 * Customers' webhook servers behind a fake `fetch`: they respond as the test scripts it, redirect, hang, or send a huge
 * body.
 */
import { afterEach, beforeEach, vi } from 'vitest';

export interface Received {
  readonly url: string;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

type Script = (received: Received) => Response | 'hang' | 'refuse';

let script: Script;
/** The requests that arrived, in order. */
export let received: Received[] = [];
/** Chunks of huge bodies that were read. */
export let chunksRead = 0;

/** Sets the response of all servers from now on; the default is 204. */
export function respond(next: Script | number): void {
  script = typeof next === 'number' ? () => new Response(null, { status: next }) : next;
}

export function hugeBody(): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull(controller) {
        chunksRead += 1;
        controller.enqueue(new Uint8Array(65_536));
        // a reader that goes on must fail the test rather than hang it
        if (chunksRead > 100) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

beforeEach(() => {
  received = [];
  chunksRead = 0;
  respond(204);
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => serve(String(input), init ?? {}));
});
afterEach(() => vi.restoreAllMocks());

async function serve(url: string, init: RequestInit): Promise<Response> {
  const request = new Request(url, init);
  const body = new Uint8Array(await request.arrayBuffer());
  const arrived = { url, headers: request.headers, body };
  received.push(arrived);
  const response = script(arrived);
  if (response === 'refuse') throw new TypeError('Network connection lost.');
  if (response === 'hang') return untilAborted(init.signal);
  const location = response.headers.get('location');
  // fetch follows redirects unless it is told otherwise
  return location !== null && init.redirect !== 'manual' ? serve(location, init) : response;
}

function untilAborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
}
