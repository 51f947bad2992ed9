/**
 * Keep-alive in real time, past the five seconds in which an error still has its own HTTP status. All requests are made at
 * once, so the file takes as long as the longest of them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answer, FakeNetwork, type Step, stream, wait } from '../fake-node.ts';
import { Customer, costOf, newModel, withSettings } from './client.ts';

/** How long a late node waits after the client's first byte: a second keep-alive is due by then. */
const LATER_MS = 1_300;
/** Four seconds after the first keep-alive, so that a slow machine still sends that one before the deadline. */
const DEADLINE_MS = 9_000;

interface Observed {
  readonly status: number;
  readonly text: string;
  readonly firstByteMs: number;
  /** When the node started to answer; null: never. */
  readonly nodeStartedMs: number | null;
  readonly record: { state: string; chargeNanoUsd: number | null };
  readonly aborts: number;
  readonly heldNanoUsd: number;
}

const observed = new Map<string, Observed>();
let network: FakeNetwork;

const YES = { content: ['Yes', '.'] };
/** The steps of a node's answer. `firstByte` resolves when the client has received the first byte. */
type Speech = (firstByte: Promise<void>) => AsyncGenerator<Step>;

/** A node that starts to answer only after the client's first keep-alive, however slow the machine is. */
const late = (steps: Iterable<Step>): Speech =>
  async function* (firstByte) {
    await firstByte;
    await wait(LATER_MS);
    yield* steps;
  };

async function ask(
  speech: Speech,
  { disconnectAfterMs, ...body }: { stream: boolean; disconnectAfterMs?: number },
  settings: Record<string, string> = {},
): Promise<Observed> {
  const model = newModel();
  const customer = await Customer.withCredit();
  let nodeStartedMs: number | null = null;
  const firstByte = Promise.withResolvers<void>();
  const timed = async function* (): AsyncGenerator<Step> {
    for await (const step of speech(firstByte.promise)) {
      nodeStartedMs ??= Date.now() - startedMs;
      yield step;
    }
  };
  const node = await network.add(model, () => stream(timed()));
  const startedMs = Date.now();
  const { response, requestId, settled } = await customer.send(
    { model, ...body },
    { using: withSettings(settings) },
  );
  const firstByteMs = Date.now() - startedMs;
  firstByte.resolve();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    if (disconnectAfterMs !== undefined && Date.now() - startedMs > disconnectAfterMs) {
      await reader.cancel();
      break;
    }
  }
  await settled();
  const record = (await customer.wallet.request(requestId))!;
  const { heldNanoUsd } = await customer.balance();
  const aborts = node.aborts.length;
  return { status: response.status, text, firstByteMs, nodeStartedMs, record, heldNanoUsd, aborts };
}

const DEATH = [new Error('engine died')];
const early: Speech = async function* () {
  yield* DEATH;
};
const silent: Speech = async function* () {
  yield await new Promise<never>(() => undefined);
};
const CASES: Record<string, () => Promise<Observed>> = {
  'stream late': () => ask(late([...answer(YES)]), { stream: true }),
  'whole late': () => ask(late([...answer(YES)]), { stream: false }),
  'stream dead late': () => ask(late(DEATH), { stream: true }),
  'whole dead late': () => ask(late(DEATH), { stream: false }),
  'stream dead early': () => ask(early, { stream: true }),
  'whole dead early': () => ask(early, { stream: false }),
  'stream deadline': () =>
    ask(silent, { stream: true }, { FIRST_TOKEN_DEADLINE_MS: `${DEADLINE_MS}`, IDLE_DEADLINE_MS: '60000' }),
  'stream disconnected': () => ask(silent, { stream: true, disconnectAfterMs: 5_500 }),
  'whole disconnected': () => ask(silent, { stream: false, disconnectAfterMs: 5_500 }),
};

beforeAll(async () => {
  network = new FakeNetwork();
  await Promise.all(Object.entries(CASES).map(async ([name, run]) => void observed.set(name, await run())));
});

afterAll(() => expect(network.nodes.flatMap(({ violations }) => violations)).toEqual([]));

const events = ({ text }: Observed) =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));

describe('a first token that comes late', () => {
  it('is preceded by a comment per second in a stream, and only the answer is billed', () => {
    const late = observed.get('stream late')!;
    expect(late.status).toBe(200);
    expect(late.firstByteMs).toBeGreaterThanOrEqual(4_900);
    // the response starts before the node has sent anything, however slow the machine is
    expect(late.firstByteMs).toBeLessThanOrEqual(late.nodeStartedMs!);
    expect(late.text).toMatch(/^(: keep-alive\n\n)+data: /);
    expect(events(late).at(-1)).toBe('[DONE]');
    expect(late.record).toMatchObject({ state: 'posted', chargeNanoUsd: costOf(10, 2) });
  });

  it('is preceded by blank lines in a response that is not streamed, which JSON parsers skip', () => {
    const late = observed.get('whole late')!;
    expect(late.text).toMatch(/^\n+\{/);
    expect(JSON.parse(late.text).choices[0].message.content).toBe('Yes.');
  });
});

describe('an error', () => {
  it.each(['stream dead early', 'whole dead early'])(
    'within the grace period keeps its status (%s)',
    (name) => {
      const early = observed.get(name)!;
      expect(early.status).toBe(502);
      expect(JSON.parse(early.text).error.code).toBe('node_failed');
      expect(early.record).toMatchObject({ state: 'voided' });
    },
  );

  it('after the grace period is an event without [DONE] in a stream, and costs nothing', () => {
    const late = observed.get('stream dead late')!;
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

  it('after the grace period is the envelope as the body of a response that is not streamed', () => {
    const late = observed.get('whole dead late')!;
    expect(late.status).toBe(200);
    expect(late.text).toMatch(/^\n+\{/);
    const { error } = JSON.parse(late.text);
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
    expect(error.code).toBe('node_failed');
    expect(late.record).toMatchObject({ state: 'voided' });
  });

  it('reports that no first token arrived in time', () => {
    const late = observed.get('stream deadline')!;
    expect(JSON.parse(events(late)[0]!).error.code).toBe('first_token_timeout');
    expect(late.record).toMatchObject({ state: 'voided' });
  });
});

describe('a client that disconnects during keep-alives', () => {
  it.each(['stream disconnected', 'whole disconnected'])('ends the hold and pays nothing (%s)', (name) => {
    const disconnected = observed.get(name)!;
    expect(disconnected.record).toMatchObject({ state: 'voided' });
    expect(disconnected.heldNanoUsd).toBe(0);
  });
});
