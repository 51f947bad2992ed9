/** Tests limits against a reference that keeps every request and recounts them each time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Caps,
  type Limits,
  type Load,
  limitRefusal,
  periodEndMs,
  periodStartDay,
  sharingIds,
} from '../../worker/domain/limits.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import { NO_USAGE } from '../../worker/domain/usage.ts';
import type { HeldRequest } from '../../worker/wallet/held-request.ts';
import { RateCounters } from '../../worker/wallet/rate-counters.ts';

/** The reference: it keeps rows like the Wallet's table. */
class ReferenceRows {
  readonly all: HeldRequest[] = [];

  recent = (afterMs: number) =>
    this.all
      .filter(
        ({ state, admittedAtMs, endedAtMs }) =>
          state === 'held' || admittedAtMs > afterMs || endedAtMs! > afterMs,
      )
      .sort((a, b) => a.admittedAtMs - b.admittedAtMs);

  load(keyId: string | null, nowMs: number): Omit<Load, 'spentNanoUsd'> {
    const all = this.all.filter((row) => keyId === null || row.keyId === keyId);
    const interactive = all.filter(({ background }) => !background);
    const recent = interactive.filter(({ admittedAtMs }) => admittedAtMs > nowMs - 60_000);
    const held = interactive.filter(({ state }) => state === 'held');
    const ended = interactive.filter(
      ({ endedAtMs, usage }) =>
        endedAtMs !== null && endedAtMs > nowMs - 60_000 && usage.completionTokens + usage.promptTokens > 0,
    );
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    return {
      requestsLastMinute: recent.length,
      oldestRequestAgeMs:
        recent.length === 0 ? 0 : nowMs - Math.min(...recent.map(({ admittedAtMs }) => admittedAtMs)),
      tokensLastMinute:
        sum(held.map(({ tokens }) => tokens)) +
        sum(ended.map(({ usage }) => usage.promptTokens + usage.completionTokens)),
      tokensFreeInMs:
        ended.length === 0 ? null : Math.min(...ended.map(({ endedAtMs }) => endedAtMs!)) + 60_000 - nowMs,
      inFlight: held.length,
      heldNanoUsd: nanoUsd(sum(all.map(({ heldNanoUsd }) => heldNanoUsd))),
    };
  }

  /** Credit held that counts against the cap of a key: its own, and that of keys that share the cap. */
  capHeld(keyId: string): number {
    const counted = this.all.filter(
      (row) => row.keyId === keyId || sharingIds(row.caps.shared).includes(keyId),
    );
    return counted.reduce((total, { heldNanoUsd }) => total + heldNanoUsd, 0);
  }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('admit' as const),
    keyId: fc.constantFrom('key_1', 'key_2'),
    tokens: fc.nat(5_000),
    held: fc.nat(9_000),
    background: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('resize' as const),
    pick: fc.nat(),
    tokens: fc.nat(5_000),
    held: fc.nat(9_000),
  }),
  fc.record({
    kind: fc.constant('end' as const),
    pick: fc.nat(),
    prompt: fc.nat(900),
    completion: fc.nat(900),
  }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(45_000) }),
  fc.record({ kind: fc.constant('forget' as const) }),
  fc.record({ kind: fc.constant('trim' as const) }),
);

const NO_CAP = { capNanoUsd: null, capPeriod: 'total' } as const;
/** `key_2` was rotated from `key_1`, and the management key `key_3` made it. */
const CAPS_BY_KEY: Record<string, Caps> = {
  key_1: { key: NO_CAP, account: NO_CAP },
  key_2: {
    key: NO_CAP,
    account: NO_CAP,
    shared: { lineageId: 'key_1', manager: { keyId: 'key_3', ...NO_CAP } },
  },
};

it('rate counters equal a count of every row, also after a reload', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rows = new ReferenceRows();
      let counters = new RateCounters();
      let nowMs = 1_000_000;
      const heldIndex = (pick: number) => {
        const held = rows.all.filter(({ state }) => state === 'held');
        return held.length === 0 ? -1 : rows.all.indexOf(held[pick % held.length]!);
      };
      for (const each of steps) {
        if (each.kind === 'wait') nowMs += each.ms;
        if (each.kind === 'trim') counters.forgetIdle(nowMs);
        if (each.kind === 'forget') {
          counters = new RateCounters();
          counters.reload({ recent: rows.recent, leases: [] }, nowMs);
        }
        if (each.kind === 'admit') {
          const row = {
            keyId: each.keyId,
            state: 'held',
            admittedAtMs: nowMs,
            endedAtMs: null,
            heldNanoUsd: nanoUsd(each.held),
            tokens: each.tokens,
            background: each.background,
            usage: NO_USAGE,
            caps: CAPS_BY_KEY[each.keyId],
          } as HeldRequest;
          rows.all.push(row);
          counters.admit(row);
        }
        if (each.kind === 'resize' && heldIndex(each.pick) >= 0) {
          const at = heldIndex(each.pick);
          const before = rows.all[at]!;
          const after = { ...before, heldNanoUsd: nanoUsd(each.held), tokens: each.tokens };
          rows.all[at] = after;
          counters.resize(before, after);
        }
        if (each.kind === 'end' && heldIndex(each.pick) >= 0) {
          const at = heldIndex(each.pick);
          const before = rows.all[at]!;
          const usage = { ...NO_USAGE, promptTokens: each.prompt, completionTokens: each.completion };
          rows.all[at] = { ...before, state: 'posted', endedAtMs: nowMs, heldNanoUsd: nanoUsd(0), usage };
          counters.end(before, rows.all[at]);
        }
        for (const keyId of ['key_1', 'key_2', null])
          expect(counters.load(keyId, nowMs)).toEqual(rows.load(keyId, nowMs));
        for (const keyId of ['key_1', 'key_2', 'key_3'])
          expect(counters.capHeld(keyId)).toBe(rows.capHeld(keyId));
      }
    }),
    { numRuns: 300 },
  );
});

const anyLimits = fc.record({
  requestsPerMinute: fc.integer({ min: 1, max: 20 }),
  tokensPerMinute: fc.option(fc.integer({ min: 1, max: 2_000 })),
  concurrency: fc.integer({ min: 1, max: 20 }),
  capNanoUsd: fc.option(fc.nat(1_000).map(nanoUsd)),
  capPeriod: fc.constantFrom('day', 'month', 'total'),
}) satisfies fc.Arbitrary<Limits>;
const anyLoad = fc.record({
  requestsLastMinute: fc.nat(20),
  oldestRequestAgeMs: fc.nat(59_999),
  tokensLastMinute: fc.nat(2_000),
  tokensFreeInMs: fc.option(fc.integer({ min: 1, max: 60_000 })),
  inFlight: fc.nat(20),
  heldNanoUsd: fc.nat(500).map(nanoUsd),
  spentNanoUsd: fc.nat(1_000).map(nanoUsd),
}) satisfies fc.Arbitrary<Load>;
const anyRequest = fc.record({ leastNanoUsd: fc.nat(300).map(nanoUsd), tokens: fc.nat(500) });

describe('a refusal', () => {
  const within = (limits: Limits, load: Load, request: { leastNanoUsd: number; tokens: number }) =>
    load.requestsLastMinute < limits.requestsPerMinute &&
    load.inFlight < limits.concurrency &&
    (limits.tokensPerMinute === null ||
      load.tokensLastMinute === 0 ||
      load.tokensLastMinute + request.tokens <= limits.tokensPerMinute) &&
    (limits.capNanoUsd === null ||
      request.leastNanoUsd <= Math.max(0, limits.capNanoUsd - load.spentNanoUsd - load.heldNanoUsd));

  it('is given exactly when the key or its account would exceed a limit', () => {
    fc.assert(
      fc.property(
        anyLimits,
        anyLimits,
        anyLoad,
        anyLoad,
        anyRequest,
        (key, account, keyLoad, accountLoad, request) => {
          const refusal = limitRefusal({ key, account }, { key: keyLoad, account: accountLoad }, request, 0);
          expect(refusal === null).toBe(
            within(key, keyLoad, request) && within(account, accountLoad, request),
          );
          if (refusal && 'retryAfterMs' in refusal) expect(refusal.retryAfterMs).toBeGreaterThan(0);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

it('the period of a cap begins at its first day and ends where the next begins', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('day' as const, 'month' as const),
      fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2040, 0, 1) }),
      (period, nowMs) => {
        const startMs = periodStartDay(period, nowMs) * 86_400_000;
        const endMs = periodEndMs(period, nowMs)!;
        expect(startMs <= nowMs && nowMs < endMs).toBe(true);
        expect(periodStartDay(period, endMs) * 86_400_000).toBe(endMs);
        const next = period === 'day' ? 'getUTCDate' : 'getUTCMonth';
        expect(new Date(endMs - 1)[next]()).toBe(new Date(startMs)[next]());
        if (period === 'month') expect(new Date(startMs).getUTCDate()).toBe(1);
      },
    ),
  );
});
