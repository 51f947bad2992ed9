/** Clients that disconnect at any byte and in any way: exactly what the engine generated until it stopped is charged. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatBody, eventually, expectLaws, type Local, runningAt, startLocal } from './local.ts';
import { observedAnswer } from './observed-answer.ts';
import { type RawAnswer, type RawRequest, rawPost } from './raw-client.ts';
import { readLedgers, readStoredState } from './stored-state.ts';

const MAX_TOKENS = 64_000;

let local: Local;
beforeAll(async () => {
  // a thousand tokens take a second, so that a hundred clients can leave in the middle of them
  local = await startLocal({ speed: 100, settings: { TRIAL_GRANT_NANO_USD: '50000000000' } });
});
afterAll(() => local.end());

function ask(
  content: string,
  over: Record<string, unknown>,
  behavior: Partial<RawRequest>,
): Promise<RawAnswer> {
  const { baseUrl, apiKey } = local.stack.dev;
  return rawPost({
    url: `${baseUrl}/v1/chat/completions`,
    headers: { authorization: `Bearer ${apiKey}` },
    body: chatBody(content, { max_tokens: MAX_TOKENS, ...over }),
    ...behavior,
  });
}

/** Runs a job `count` times, `width` at a time. */
async function inTurns<T>(count: number, width: number, job: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const turn = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await job(i);
  };
  await Promise.all(Array.from({ length: width }, turn));
  return results;
}

/** The requests of the Wallets, each with the tokens that its engine counted. */
function settledRequests() {
  const { accounts, engines } = readStoredState(local.stateDir, local.nodes);
  const names = new Map(local.nodes.map(({ id, name }) => [id, name]));
  return accounts
    .flatMap(({ request = [] }) => request)
    .map((row) => ({
      row,
      engineTokens:
        engines.get(names.get(row.node_id ?? '') ?? '')?.get(row.request_id)?.completionTokens ?? 0,
    }));
}

/** The disconnects are spread over the whole answer: from right after the request to just before the last byte. */
describe.each([
  ['a stream of 1,000 events', true, 100],
  ['a whole answer of 1,000 tokens', false, 40],
])('a client that disconnects from %s', (_, stream, leavers) => {
  it('at any point pays what the engine counted, never max_tokens, and never nothing for a delivered token', async () => {
    const story = (i: number) => `A story, number ${i}. [[reasoning=300 answer=700]]`;
    const full = await ask(story(-1), { stream }, {});
    expect(observedAnswer(full)).toMatchObject({ ending: 'whole' });
    const tookMs = full.endedAtMs - full.sentAtMs;
    const before = new Set(settledRequests().map(({ row }) => row.request_id));

    const answers = await inTurns(leavers, 10, (i) => {
      const part = i / (leavers - 1);
      const byByte = { leaveAfterBytes: Math.floor(part * (full.bytes - 1)) };
      // all bytes of a whole answer come at its end, so every other client disconnects by time instead
      const byTime = { leaveAfterMs: Math.floor(part * tookMs) };
      return ask(
        story(i),
        { stream },
        { ...(stream || i % 4 < 2 ? byByte : byTime), leaveBy: i % 2 === 0 ? 'close' : 'reset' },
      );
    });

    await eventually(async () =>
      readLedgers(local.stateDir).accounts.every(({ credit }) => credit?.held_nano_usd === 0),
    );
    const settled = settledRequests().filter(({ row }) => !before.has(row.request_id));
    // a request whose client disconnected before it was admitted is not in any Wallet
    expect(settled.length).toBeGreaterThan(leavers * 0.8);
    for (const { row, engineTokens } of settled) {
      const { request_id, state, ending, completion_tokens, charge_nano_usd } = row;
      if (state === 'voided') {
        // its client disconnected before a first token had reached the edge
        expect({ request_id, ending, charge_nano_usd }).toEqual({
          request_id,
          ending: 'not_served',
          charge_nano_usd: 0,
        });
      } else {
        expect({ request_id, completion_tokens }).toEqual({ request_id, completion_tokens: engineTokens });
        expect(charge_nano_usd).toBeGreaterThan(0);
        expect(completion_tokens).toBeLessThanOrEqual(1_000);
      }
    }
    const charges = new Map(settled.map(({ row }) => [row.request_id, row.charge_nano_usd]));
    const clients = answers.map((answer) => ({
      ...observedAnswer(answer),
      accountId: local.stack.dev.account,
    }));
    expect(clients.filter(({ ending }) => ending === 'left').length).toBeGreaterThan(leavers * 0.8);
    for (const { requestId, deliveredTokens } of clients)
      if (deliveredTokens > 0) expect(charges.get(requestId!)).toBeGreaterThan(0);
    await expectLaws(local, { clients });
  });
});

/** The edge notices a disconnect from a stream at the next event that it writes. */
const STREAM_STOPS_MS = 1_500;
/**
 * While a whole answer is generated, the edge notices a closed connection at the next blank line that it writes: the first
 * after 5 s, then one each second (worker/gateway/stream/keep-alive.ts). It notices a reset connection at once.
 */
const FIRST_BLANK_LINE_MS = 5_000;
const BLANK_LINE_STOPS_MS = 2_500;

describe('the engine of a client that has disconnected', () => {
  const cases: [
    shape: 'stream' | 'whole answer',
    leaveAfterMs: number,
    by: 'close' | 'reset',
    withinMs: number,
  ][] = [
    ['stream', 300, 'close', STREAM_STOPS_MS],
    ['stream', 1_200, 'close', STREAM_STOPS_MS],
    ['stream', 900, 'reset', STREAM_STOPS_MS],
    ['whole answer', 3_000, 'reset', STREAM_STOPS_MS],
    ['whole answer', 3_000, 'close', FIRST_BLANK_LINE_MS - 3_000 + BLANK_LINE_STOPS_MS],
    ['whole answer', 5_500, 'close', BLANK_LINE_STOPS_MS],
  ];
  it.each(cases)(
    'stops generating a %s, which the client left after %i ms by %s, within %i ms',
    async (shape, leaveAfterMs, leaveBy, withinMs) => {
      const content = `Without end, ${leaveAfterMs}. [[reasoning=30000 answer=60000]]`;
      await ask(content, { stream: shape === 'stream' }, { leaveAfterMs, leaveBy });
      const disconnectedAtMs = Date.now();
      await eventually(
        async () => (await Promise.all(local.stack.nodes.map(runningAt))).every((n) => n === 0),
        withinMs + 5_000,
      );
      expect(Date.now() - disconnectedAtMs).toBeLessThan(withinMs);
    },
  );
});
