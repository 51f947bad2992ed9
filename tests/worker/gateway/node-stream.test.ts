/** Delivery of the events of a node's answer: at once at an engine's pace, together when they arrive faster. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { NodeStream } from '../../../worker/gateway/node/stream.ts';
import { DONE, frame, textChunk, usageOf, wait } from '../fake-node.ts';
import { waitFor } from '../wait.ts';

/** A deadline that fires when the test says so, and never by itself. */
class ManualDeadline {
  dueMs = 0;
  isSet = false;
  onDue = () => {};
  set(dueMs: number, onDue: () => void) {
    this.dueMs = dueMs;
    this.isSet = true;
    this.onDue = onDue;
  }
  clear() {
    this.isSet = false;
    this.onDue = () => {};
  }
}

let deadline: ManualDeadline;
let isClosed: boolean;
let answer: ReadableStreamDefaultController<Uint8Array>;
let nodeStream: NodeStream;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  deadline = new ManualDeadline();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      answer = controller;
    },
    cancel() {
      isClosed = true;
    },
  });
  isClosed = false;
  nodeStream = read(body);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const read = (body: ReadableStream<Uint8Array>) => new NodeStream(body, { idleDeadlineMs: 1_000, deadline });
const passTime = (ms: number) => vi.setSystemTime(Date.now() + ms);
const write = (text: string) => answer.enqueue(new TextEncoder().encode(text));
const writeText = (content: string) => write(frame(textChunk(content, usageOf(1, 1))));

/** The text that is delivered together. */
async function nextText(): Promise<string> {
  const event = await nodeStream.next();
  if (event.kind !== 'chunk') return event.kind;
  return nodeStream
    .withReady(event.chunk)
    .map(({ choices }) => choices[0]!.delta.content)
    .join('');
}

/** Tells whether a promise is still pending after everything that arrived has been processed. */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  return (await Promise.race([promise, wait(20).then(() => 'waiting')])) === 'waiting';
}

async function deliverFirst(): Promise<void> {
  writeText('a');
  expect(await nextText()).toBe('a');
}

it('chunks at the pace of an engine are delivered at once, the first token above all', async () => {
  write(frame({ choices: [], usage: usageOf(1, 0) }));
  expect((await nodeStream.next()).kind).toBe('chunk');
  await deliverFirst();
  for (const content of ['b', 'c', 'd']) {
    passTime(5);
    writeText(content);
    expect(await nextText()).toBe(content);
  }
});

it('faster chunks are delivered together, after five milliseconds at the latest', async () => {
  await deliverFirst();
  const next = nextText();
  writeText('b');
  expect(await isWaiting(next)).toBe(true);
  writeText('c');
  passTime(4);
  writeText('d');
  expect(await isWaiting(next)).toBe(true);
  expect(deadline.dueMs).toBe(Date.now() + 1);
  deadline.onDue();
  expect(await next).toBe('bcd');
});

it.each([
  ['end', () => write(DONE)],
  ['broken', () => answer.close()],
  ['broken', () => answer.error(new Error('reset'))],
  ['broken', () => write('data: {}\n\n')],
])('%s: chunks before the end are delivered without a wait', async (kind, end) => {
  await deliverFirst();
  writeText('b');
  writeText('c');
  const next = nextText();
  expect(await isWaiting(next)).toBe(true);
  end();
  expect(await next).toBe('bc');
  expect(await nextText()).toBe(kind);
  expect(await nextText()).toBe(kind);
});

it('a clock that was set back delays nothing', async () => {
  await deliverFirst();
  passTime(-3_600_000);
  writeText('b');
  expect(await nextText()).toBe('b');
});

it('the idle deadline counts only while a read is pending', async () => {
  await deliverFirst();
  // the deadline of the previous read fires while the client is slow
  deadline.onDue();
  passTime(10_000);
  writeText('b');
  expect(await nextText()).toBe('b');
  const next = nodeStream.next();
  expect(await isWaiting(next)).toBe(true);
  deadline.onDue();
  expect(await next).toEqual({ kind: 'broken', reason: 'nothing for too long', error: null });
});

it('bytes that arrive after the wait for them has ended are not lost', async () => {
  await deliverFirst();
  writeText('b');
  const next = nextText();
  expect(await isWaiting(next)).toBe(true);
  deadline.onDue();
  expect(await next).toBe('b');
  // these bytes resolve the read that is still pending from that wait
  writeText('c');
  await wait(20);
  passTime(5);
  expect(await nextText()).toBe('c');
});

it('chunks of a node that floods are still delivered', async () => {
  const flood = frame(textChunk('x', usageOf(1, 1))).repeat(100);
  let pulls = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulls += 1;
      controller.enqueue(new TextEncoder().encode(flood));
    },
  });
  nodeStream = read(endless);
  expect(await nextText()).toHaveLength(100);
  expect(await nextText()).toHaveLength(500);
  expect(pulls).toBeLessThan(10);
});

it('after the end event it reads the body to its end', async () => {
  await deliverFirst();
  write(DONE);
  expect(await nextText()).toBe('end');
  expect(deadline.isSet).toBe(true);
  answer.close();
  await waitFor(() => expect([deadline.isSet, isClosed]).toEqual([false, false]));
});

it.each([
  ['more', () => writeText('b')],
  ['nothing', () => deadline.onDue()],
])('after the end event it closes the connection to a node that sends %s', async (_, act) => {
  await deliverFirst();
  write(DONE);
  expect(await nextText()).toBe('end');
  act();
  await waitFor(() => expect([deadline.isSet, isClosed]).toEqual([false, true]));
  expect(await nextText()).toBe('end');
});
