/** Customers' servers as far as fetch can tell: they answer what the test scripts, redirect, hang, or send a huge body. */
import { afterEach, beforeEach, vi } from 'vitest';

export interface Received {
  readonly url: string;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

type Script = (received: Received) => Response | 'hang' | 'refuse';

let script: Script;
/** what arrived, in order */
export let received: Received[] = [];
/** chunks of huge bodies that were read */
export let chunksRead = 0;

/** What servers answer from now on; until it is said, 204. */
export function answer(next: Script | number): void {
  script = typeof next === 'number' ? () => new Response(null, { status: next }) : next;
}

export function hugeBody(): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull(controller) {
        chunksRead += 1;
        controller.enqueue(new Uint8Array(65_536));
        // whoever reads on is to fail the test, not to hang it
        if (chunksRead > 100) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

beforeEach(() => {
  received = [];
  chunksRead = 0;
  answer(204);
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => serve(String(input), init ?? {}));
});
afterEach(() => vi.restoreAllMocks());

async function serve(url: string, init: RequestInit): Promise<Response> {
  const request = new Request(url, init);
  const body = new Uint8Array(await request.arrayBuffer());
  const got = { url, headers: request.headers, body };
  received.push(got);
  const answered = script(got);
  if (answered === 'refuse') throw new TypeError('Network connection lost.');
  if (answered === 'hang') return untilAborted(init.signal);
  const location = answered.headers.get('location');
  // as fetch does unless it is told otherwise
  return location !== null && init.redirect !== 'manual' ? serve(location, init) : answered;
}

function untilAborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
}
