/** The end of an answer: it leaves in as few writes as it can, and waits for no disk. */
import { afterEach, expect, it, vi } from 'vitest';
import { Journal } from '../../../gpu-pool/agent/journal.ts';
import { generate, setUp, textOf, until } from './helpers.ts';
import { answerEvents, sse } from './scripted-engine.ts';

afterEach(() => void vi.restoreAllMocks());

it('of one read of the engine leaves as one write', async () => {
  const setup = await setUp();
  const answer = await generate(setup);
  expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength(answer.text)));
  expect(answer.done).toBe(true);
});

it('of several reads leaves as they come', async () => {
  const setup = await setUp();
  const [first, ...rest] = answerEvents(['Hello', ' world']).slice(1);
  setup.engine.onChat = ({ res }) => {
    sse(res, [first], { end: false });
    setTimeout(() => sse(res, [...rest, '[DONE]']), 50);
  };
  const answer = await generate(setup);
  expect(answer.headers.get('content-length')).toBeNull();
  expect(textOf(answer.chunks)).toBe('Hello world');
});

it('does not wait for its receipt to be safe, and the edge is told of it only then', async () => {
  const setup = await setUp();
  const disk = Promise.withResolvers<void>();
  const { closed } = Journal.prototype;
  vi.spyOn(Journal.prototype, 'closed').mockImplementation(async function (this: Journal, receipt) {
    await disk.promise;
    return closed.call(this, receipt);
  });
  expect((await generate(setup)).done).toBe(true);
  // Its place is free again.
  const before = setup.edge.heartbeats.length;
  await until(() => setup.edge.heartbeats.length > before + 2);
  expect(setup.edge.heartbeats.at(-1)?.in_flight).toBe(0);
  expect(setup.edge.receipts).toEqual([]);
  disk.resolve();
  await until(() => setup.edge.receipts.length === 1);
});
