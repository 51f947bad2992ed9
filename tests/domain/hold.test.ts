import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  coveredUsage,
  firstHold,
  nextHold,
  promptTokenBounds,
  tokensLeft,
  WINDOW_TOKENS,
} from '../../worker/domain/hold.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import { chargeFor, type Price } from '../../worker/domain/pricing.ts';
import { writeOff } from '../../worker/domain/reconciliation.ts';
import { isSound, NO_USAGE, type Usage } from '../../worker/domain/usage.ts';

const price: Price = { id: 'p', cacheHitNanoUsd: 140, cacheMissNanoUsd: 550, outputNanoUsd: 2_190 };

const anyUsage = fc.tuple(fc.nat(200_000), fc.nat(200_000), fc.nat(65_536), fc.nat(65_536)).map(
  ([prompt, cached, completion, reasoning]): Usage => ({
    promptTokens: prompt,
    cachedTokens: Math.min(prompt, cached),
    completionTokens: completion,
    reasoningTokens: Math.min(completion, reasoning),
  }),
);
const anyPrice = fc.tuple(fc.nat(10_000), fc.nat(10_000), fc.integer({ min: 1, max: 60_000 })).map(
  ([hit, miss, output]): Price => ({
    id: 'p',
    cacheHitNanoUsd: hit,
    cacheMissNanoUsd: miss,
    outputNanoUsd: output,
  }),
);

describe('the first hold', () => {
  it('covers the whole prompt uncached and one window of output', () => {
    const hold = firstHold({
      promptTokensMin: 1,
      promptTokensMax: 100,
      maxTokens: 64_000,
      choices: 2,
      price,
    });
    expect(hold.wantedNanoUsd).toBe(100 * 550 + 2 * WINDOW_TOKENS * 2_190);
    expect(hold.leastNanoUsd).toBe(140 + 2_190);
  });

  it('covers no more output than max_tokens', () => {
    const hold = firstHold({ promptTokensMin: 1, promptTokensMax: 100, maxTokens: 10, choices: 1, price });
    expect(hold.wantedNanoUsd).toBe(100 * 550 + 10 * 2_190);
  });

  it('assumes at most one token per byte, and the chat template', () => {
    expect(promptTokenBounds(1_000, 3)).toEqual({ min: 8, max: 1_112 });
  });
});

describe('the next hold', () => {
  it('stops growing at the request’s max_tokens', () => {
    const usage = { ...NO_USAGE, promptTokens: 10, completionTokens: 95 };
    expect(nextHold(usage, price, { maxTokens: 100, choices: 1 })).toBe(10 * 550 + 100 * 2_190);
    expect(nextHold(usage, price, { maxTokens: 50, choices: 1 })).toBe(10 * 550 + 95 * 2_190);
  });

  it('always covers the usage so far', () => {
    fc.assert(
      fc.property(anyUsage, anyPrice, fc.integer({ min: 1, max: 65_536 }), (usage, any, maxTokens) => {
        expect(
          tokensLeft(nextHold(usage, any, { maxTokens, choices: 1 }), usage, any),
        ).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('covered usage', () => {
  it('is sound, never costs more than the hold, and is all of it when the hold suffices', () => {
    fc.assert(
      fc.property(anyUsage, anyPrice, fc.nat(2_000_000_000), (usage, any, held) => {
        const covered = coveredUsage(usage, nanoUsd(held), any);
        expect(isSound(covered)).toBe(true);
        expect(chargeFor(covered, any)).toBeLessThanOrEqual(held);
        if (chargeFor(usage, any) <= held) expect(covered).toEqual(usage);
        else expect(covered.completionTokens).toBeLessThanOrEqual(usage.completionTokens);
      }),
    );
  });

  it('gives up output first, and only tokens that the hold cannot pay', () => {
    const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 5, reasoningTokens: 5 };
    expect(coveredUsage(usage, nanoUsd(4 * 140 + 6 * 550 + 3 * 2_190 + 2_189), price)).toEqual({
      ...usage,
      completionTokens: 3,
      reasoningTokens: 3,
    });
  });
});

describe('a write-off', () => {
  const billed = { promptTokens: 10, cachedTokens: 4, completionTokens: 5, reasoningTokens: 0 };
  const settled = { state: 'posted', ending: 'finished', nodeId: 'a', billed } as const;

  it.each([
    ['nothing when the counts agree', 'a', billed, settled, 0, 0, null],
    [
      'the tokens that never reached the edge',
      'a',
      { ...billed, completionTokens: 7 },
      settled,
      0,
      2,
      'undelivered',
    ],
    [
      'negative when more was billed than counted',
      'a',
      { ...billed, completionTokens: 4 },
      settled,
      0,
      -1,
      'undelivered',
    ],
    ["another attempt's tokens", 'b', billed, settled, 10, 5, 'retried_elsewhere'],
    [
      'everything of a voided request',
      'a',
      billed,
      { ...settled, state: 'voided', billed: NO_USAGE } as const,
      10,
      5,
      'voided',
    ],
    ['everything of an unknown request', 'a', billed, null, 10, 5, 'unknown_request'],
    [
      'the tokens generated after the client disconnected',
      'a',
      { ...billed, completionTokens: 6 },
      { ...settled, ending: 'client_gone' } as const,
      0,
      1,
      'after_client_gone',
    ],
  ])('is %s', (_, nodeId, usage, request, promptTokens, completionTokens, reason) => {
    expect(writeOff({ nodeId, usage, outcome: 'finished' }, request)).toEqual({
      promptTokens,
      completionTokens,
      reason,
    });
  });

  it('is nothing when a node that died journalled less than the edge received', () => {
    const journalled = { ...billed, completionTokens: 2 };
    expect(
      writeOff({ nodeId: 'a', usage: journalled, outcome: 'lost' }, { ...settled, ending: 'node_failed' }),
    ).toEqual({
      promptTokens: 0,
      completionTokens: 0,
      reason: null,
    });
  });
});
