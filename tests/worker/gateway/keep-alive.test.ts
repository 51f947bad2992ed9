/**
 * Waits in real time, past the five seconds in which a refusal still has its own status. All requests are made at once,
 * so the file takes as long as the longest of them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answer, FakeNetwork, type Step, stream, wait } from '../fake-node.ts';
import { Customer, costOf, newModel, withSettings } from './client.ts';

/** A bit past the grace, so that a second blank is due, too. */
const LATE_MS = 6_500;
const DEADLINE_MS = 5_800;

interface Seen {
  readonly status: number;
  readonly text: string;
  readonly firstByteMs: number;
  readonly record: { state: string; chargeNanoUsd: number | null };
  readonly aborts: number;
  readonly heldNanoUsd: number;
}

const seen = new Map<string, Seen>();
let network: FakeNetwork;

const YES = { content: ['Yes', '.'] };
async function* late(steps: Iterable<Step>, ms = LATE_MS): AsyncGenerator<Step> {
  await wait(ms);
  yield* steps;
}

async function ask(
  steps: () => AsyncIterable<Step>,
  { leaveAfterMs, ...body }: { stream: boolean; leaveAfterMs?: number },
  settings: Record<string, string> = {},
): Promise<Seen> {
  const model = newModel();
  const node = await network.add(model, () => stream(steps()));
  const customer = await Customer.withCredit();
  const startedMs = Date.now();
  const { response, requestId, settled } = await customer.send(
    { model, ...body },
    { using: withSettings(settings) },
  );
  const firstByteMs = Date.now() - startedMs;
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    if (leaveAfterMs !== undefined && Date.now() - startedMs > leaveAfterMs) {
      await reader.cancel();
      break;
    }
  }
  await settled();
  const record = (await customer.wallet.request(requestId))!;
  const { heldNanoUsd } = await customer.balance();
  return { status: response.status, text, firstByteMs, record, heldNanoUsd, aborts: node.aborts.length };
}

const dead = (ms?: number) => () => late([new Error('engine died')], ms);
const silent = () => late([], 12_000);
const CASES: Record<string, () => Promise<Seen>> = {
  'stream late': () => ask(() => late(answer(YES)), { stream: true }),
  'whole late': () => ask(() => late(answer(YES)), { stream: false }),
  'stream dead late': () => ask(dead(), { stream: true }),
  'whole dead late': () => ask(dead(), { stream: false }),
  'stream dead early': () => ask(dead(3_000), { stream: true }),
  'whole dead early': () => ask(dead(3_000), { stream: false }),
  'stream deadline': () =>
    ask(silent, { stream: true }, { FIRST_TOKEN_DEADLINE_MS: `${DEADLINE_MS}`, IDLE_DEADLINE_MS: '60000' }),
  'stream left': () => ask(silent, { stream: true, leaveAfterMs: 5_500 }),
  'whole left': () => ask(silent, { stream: false, leaveAfterMs: 5_500 }),
};

beforeAll(async () => {
  network = new FakeNetwork();
  await Promise.all(Object.entries(CASES).map(async ([name, run]) => void seen.set(name, await run())));
}, 30_000);

afterAll(() => expect(network.nodes.flatMap(({ complaints }) => complaints)).toEqual([]));

const events = ({ text }: Seen) =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));

describe('a first token that comes late', () => {
  it('is preceded by a comment each second in a stream, and only the answer is billed', () => {
    const late = seen.get('stream late')!;
    expect(late.status).toBe(200);
    expect(late.firstByteMs).toBeGreaterThanOrEqual(4_900);
    expect(late.firstByteMs).toBeLessThan(6_000);
    expect(late.text).toMatch(/^(: keep-alive\n\n){1,2}data: /);
    expect(events(late).at(-1)).toBe('[DONE]');
    expect(late.record).toMatchObject({ state: 'posted', chargeNanoUsd: costOf(10, 2) });
  });

  it('is preceded by blank lines in a whole answer, which JSON skips', () => {
    const late = seen.get('whole late')!;
    expect(late.text).toMatch(/^\n{1,2}\{/);
    expect(JSON.parse(late.text).choices[0].message.content).toBe('Yes.');
  });
});

describe('a refusal', () => {
  it.each(['stream dead early', 'whole dead early'])('within the grace keeps its status (%s)', (name) => {
    const early = seen.get(name)!;
    expect(early.status).toBe(502);
    expect(JSON.parse(early.text).error.code).toBe('node_failed');
    expect(early.record).toMatchObject({ state: 'voided' });
  });

  it('after it is an event without [DONE] in a stream, and costs nothing', () => {
    const late = seen.get('stream dead late')!;
    expect(late.status).toBe(200);
    expect(late.text).toMatch(/^(: keep-alive\n\n)+data: /);
    expect(events(late).map((data) => JSON.parse(data))).toEqual([
      {
        error: {
          message: expect.stringContaining('Nothing was charged'),
          type: 'server_error',
          param: null,
          code: 'node_failed',
        },
      },
    ]);
    expect(late.record).toMatchObject({ state: 'voided' });
    expect(late.heldNanoUsd).toBe(0);
  });

  it('after it is the envelope as the body of a whole answer', () => {
    const late = seen.get('whole dead late')!;
    expect(late.status).toBe(200);
    expect(late.text).toMatch(/^\n+\{/);
    const { error } = JSON.parse(late.text);
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
    expect(error.code).toBe('node_failed');
    expect(late.record).toMatchObject({ state: 'voided' });
  });

  it('says that no first token came in time', () => {
    const late = seen.get('stream deadline')!;
    expect(JSON.parse(events(late)[0]!).error.code).toBe('first_token_timeout');
    expect(late.record).toMatchObject({ state: 'voided' });
  });
});

describe('a client that leaves while it is told to wait', () => {
  it.each(['stream left', 'whole left'])('ends the hold and pays nothing (%s)', (name) => {
    const left = seen.get(name)!;
    expect(left.record).toMatchObject({ state: 'voided' });
    expect(left.heldNanoUsd).toBe(0);
  });
});
