/** When the events of a node's answer are handed on: at an engine's pace at once, faster ones together. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { NodeView } from '../../../worker/domain/node.ts';
import { NodeStream } from '../../../worker/gateway/node/stream.ts';
import { DONE, FakeNode, frame, said, usageOf, wait } from '../fake-node.ts';
import { newModel } from './client.ts';

/** Rings when the test says so, and never by itself. */
class HeldAlarm {
  dueMs = 0;
  isSet = false;
  ring = () => {};
  set(dueMs: number, ring: () => void) {
    this.dueMs = dueMs;
    this.isSet = true;
    this.ring = ring;
  }
  clear() {
    this.isSet = false;
    this.ring = () => {};
  }
}

let node: NodeView;
let alarm: HeldAlarm;
let isHungUp: boolean;
let answer: ReadableStreamDefaultController<Uint8Array>;
let reading: NodeStream;
beforeEach(async () => {
  node = await new FakeNode(newModel(), []).report();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  alarm = new HeldAlarm();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      answer = controller;
    },
    cancel() {
      isHungUp = true;
    },
  });
  isHungUp = false;
  reading = read(body);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const read = (body: ReadableStream<Uint8Array>) =>
  new NodeStream(node, body, { headers: async () => ({}), idleDeadlineMs: 1_000, alarm });
const passTime = (ms: number) => vi.setSystemTime(Date.now() + ms);
const write = (text: string) => answer.enqueue(new TextEncoder().encode(text));
const say = (content: string) => write(frame(said(content, usageOf(1, 1))));

/** All that is handed on together. */
async function together(): Promise<string> {
  const event = await reading.next();
  if (event.kind !== 'chunk') return event.kind;
  return reading
    .withReady(event.chunk)
    .map(({ choices }) => choices[0]!.delta.content)
    .join('');
}

/** @returns whether it still waits after what has come has had its turn */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  return (await Promise.race([promise, wait(20).then(() => 'waiting')])) === 'waiting';
}

async function begun(): Promise<void> {
  say('a');
  expect(await together()).toBe('a');
}

it('what comes at the pace of an engine waits for nothing, the first token least of all', async () => {
  write(frame({ choices: [], usage: usageOf(1, 0) }));
  expect((await reading.next()).kind).toBe('chunk');
  await begun();
  for (const content of ['b', 'c', 'd']) {
    passTime(5);
    say(content);
    expect(await together()).toBe(content);
  }
});

it('what comes faster is handed on together, after five milliseconds at the latest', async () => {
  await begun();
  const next = together();
  say('b');
  expect(await isWaiting(next)).toBe(true);
  say('c');
  passTime(4);
  say('d');
  expect(await isWaiting(next)).toBe(true);
  expect(alarm.dueMs).toBe(Date.now() + 1);
  alarm.ring();
  expect(await next).toBe('bcd');
});

it.each([
  ['end', () => write(DONE)],
  ['broken', () => answer.close()],
  ['broken', () => answer.error(new Error('reset'))],
  ['broken', () => write('data: {}\n\n')],
])('%s: nothing more will come, so nobody waits for more', async (kind, over) => {
  await begun();
  say('b');
  say('c');
  const next = together();
  expect(await isWaiting(next)).toBe(true);
  over();
  expect(await next).toBe('bc');
  expect(await together()).toBe(kind);
  expect(await together()).toBe(kind);
});

it('a clock that was set back makes nobody wait', async () => {
  await begun();
  passTime(-3_600_000);
  say('b');
  expect(await together()).toBe('b');
});

it('silence is only where somebody listens', async () => {
  await begun();
  // of the deadline before: its reader is slow
  alarm.ring();
  passTime(10_000);
  say('b');
  expect(await together()).toBe('b');
  const next = reading.next();
  expect(await isWaiting(next)).toBe(true);
  alarm.ring();
  expect(await next).toEqual({ kind: 'broken', why: 'nothing for too long' });
});

it('bytes that come after the wait for them is over are not lost', async () => {
  await begun();
  say('b');
  const next = together();
  expect(await isWaiting(next)).toBe(true);
  alarm.ring();
  expect(await next).toBe('b');
  // to the read that the wait left behind
  say('c');
  await wait(20);
  passTime(5);
  expect(await together()).toBe('c');
});

it('a node that floods is still handed on, and stopped when it was asked to', async () => {
  const flood = frame(said('x', usageOf(1, 1))).repeat(100);
  let pulls = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulls += 1;
      controller.enqueue(new TextEncoder().encode(flood));
    },
  });
  reading = read(endless);
  expect(await together()).toHaveLength(100);
  expect(await together()).toHaveLength(500);
  expect(pulls).toBeLessThan(10);
  vi.spyOn(globalThis, 'fetch').mockResolvedValue(new Response(null, { status: 204 }));
  await reading.askToStop();
  passTime(10_000);
  expect(await together()).toBe('broken');
});

it('after the end it reads on until the body is over', async () => {
  await begun();
  write(DONE);
  expect(await together()).toBe('end');
  expect(alarm.isSet).toBe(true);
  answer.close();
  await wait(20);
  expect([alarm.isSet, isHungUp]).toEqual([false, false]);
});

it.each([
  ['more', () => say('b')],
  ['nothing', () => alarm.ring()],
])('after the end it hangs up on who says %s', async (_, then) => {
  await begun();
  write(DONE);
  expect(await together()).toBe('end');
  then();
  await wait(20);
  expect([alarm.isSet, isHungUp]).toEqual([false, true]);
  expect(await together()).toBe('end');
});
