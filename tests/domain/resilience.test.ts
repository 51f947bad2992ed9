/** Which nodes may get requests: circuit breakers, eligibility, and overload of a pool. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeView } from '../../worker/domain/node.ts';
import {
  type Breaker,
  begin,
  CLOSED,
  changesAtMs,
  comeBack,
  fail,
  phaseOf,
  SHARE_MIN,
  shareOf,
  succeed,
  warmByTime,
} from '../../worker/domain/routing/breaker.ts';
import {
  type Eligibility,
  eligibilityOf,
  isOverloaded,
  type LocalNodeView,
  partitionNodes,
} from '../../worker/domain/routing/eligibility.ts';
import { healthOf } from '../../worker/domain/routing/health.ts';
import { clampRetryAfterMs, halfDrainMs, isFull } from '../../worker/domain/routing/overload.ts';
import { decodeSnapshot, encodeSnapshot } from '../../worker/domain/snapshot-text.ts';
import { IDLE, nodeView } from './node-view.ts';

const T = 1_000_000;
/** The breaker after a request that begins and fails at once. */
const failAt = (breaker: Breaker, nowMs: number) => fail(breaker, { startedMs: nowMs, nowMs });
const openingAt = (breaker: Breaker, nowMs: number) => failAt(breaker, nowMs).openUntilMs - nowMs;

describe('a breaker', () => {
  it('goes from open by half open and slow start back to closed', () => {
    const phases = (breaker: Breaker, ...atMs: number[]) => atMs.map((ms) => phaseOf(breaker, T + ms));
    expect(phaseOf(CLOSED, T)).toBe('closed');
    const failed = failAt(CLOSED, T);
    expect(phases(failed, 0, 1_999, 2_000, 11_999)).toEqual(['open', 'open', 'half_open', 'half_open']);
    const answered = succeed(failed, T + 2_500);
    expect(phases(answered, 2_500, 7_499, 7_500)).toEqual(['slow_start', 'slow_start', 'closed']);
  });

  it('ignores a success while it is open, and one that changes nothing', () => {
    const failed = failAt(CLOSED, T);
    expect(succeed(failed, T + 1_999)).toBe(failed);
    expect(succeed(CLOSED, T)).toBe(CLOSED);
    const warm = succeed(failed, T + 2_000);
    expect(succeed(warm, T + 3_000)).toBe(warm);
  });

  it('closes after a while without a trial request, as other isolates have tried the node', () => {
    const failed = failAt(CLOSED, T);
    expect(phaseOf(failed, T + 12_000)).toBe('closed');
    expect(shareOf(failed, T + 12_000)).toBe(1);
    expect(succeed(failed, T + 12_000)).toBe(failed);
  });

  it('gives a tenth of the share at first and all of it five seconds later, in rising steps', () => {
    const warm = warmByTime(failAt(CLOSED, T));
    const shares = Array.from({ length: 60 }, (_, i) => shareOf(warm, T + 2_000 + i * 100));
    expect(shares[0]).toBe(0.1);
    expect(shares.at(49)).toBe(1);
    expect(new Set(shares).size).toBe(10);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shareOf(failAt(CLOSED, T), T + 2_000)).toBe(SHARE_MIN);
    expect(shareOf(begin(T), T)).toBe(SHARE_MIN);
  });

  it('doubles its opening with each failure in a row, up to a minute', () => {
    let breaker = CLOSED;
    const openings: number[] = [];
    for (let nowMs = T; openings.length < 8; nowMs = breaker.openUntilMs) {
      breaker = failAt(breaker, nowMs);
      openings.push(breaker.openUntilMs - nowMs);
    }
    expect(openings).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('remembers a failure that comes soon after it closed, and forgets after a quarter of a minute', () => {
    const failed = succeed(failAt(CLOSED, T), T + 2_000);
    expect(openingAt(failed, T + 2_000 + 14_999)).toBe(4_000);
    expect(openingAt(failed, T + 2_000 + 15_000)).toBe(2_000);
  });

  it('ignores failures of requests that began before its opening ended', () => {
    const failed = failAt(CLOSED, T);
    expect(fail(failed, { startedMs: T - 100, nowMs: T + 50 })).toBe(failed);
    expect(fail(failed, { startedMs: T - 100_000, nowMs: T + 60_000 })).toBe(failed);
    expect(fail(failed, { startedMs: T + 2_000, nowMs: T + 2_001 })).not.toBe(failed);
  });

  it('tells when it will change, and does not change before', () => {
    const breakers = fc
      .array(fc.tuple(fc.constantFrom('fail', 'succeed', 'back'), fc.integer({ min: 0, max: 40_000 })), {
        maxLength: 8,
      })
      .map((events) => {
        let nowMs = T;
        let breaker = CLOSED;
        for (const [event, ms] of events) {
          nowMs += ms;
          if (event === 'fail') breaker = failAt(breaker, nowMs);
          else if (event === 'succeed') breaker = succeed(breaker, nowMs);
          else breaker = comeBack(breaker, { goneAtMs: nowMs - 7_000, nowMs });
        }
        return { breaker, nowMs };
      });
    fc.assert(
      fc.property(breakers, fc.integer({ min: 0, max: 80_000 }), ({ breaker, nowMs }, laterMs) => {
        const seen = (atMs: number) => [phaseOf(breaker, atMs), shareOf(breaker, atMs)];
        const atMs = nowMs + laterMs;
        const nextMs = changesAtMs(breaker, atMs);
        expect(nextMs).toBeGreaterThan(atMs);
        if (nextMs === Number.POSITIVE_INFINITY) {
          expect(seen(atMs)).toEqual(['closed', 1]);
          return;
        }
        expect(seen(nextMs - 1)).toEqual(seen(atMs));
        expect(seen(nextMs)).not.toEqual(seen(atMs));
        expect(shareOf(breaker, atMs)).toBeGreaterThanOrEqual(SHARE_MIN);
        expect(breaker.openUntilMs - nowMs).toBeLessThanOrEqual(60_000);
      }),
    );
  });
});

describe('a node that comes back', () => {
  const back = (breaker: Breaker, goneAtMs: number, nowMs: number) => comeBack(breaker, { goneAtMs, nowMs });

  it('for the first time serves fully within ten seconds, however many failures came before', () => {
    let failing = CLOSED;
    for (let i = 0; i < 5; i++) failing = failAt(failing, failing.openUntilMs + T);
    for (const before of [CLOSED, failing]) {
      const returned = back(before, T, T + 60_000);
      expect(phaseOf(returned, T + 60_000)).toBe('slow_start');
      expect(shareOf(returned, T + 60_000)).toBe(SHARE_MIN);
      expect(phaseOf(returned, T + 65_000)).toBe('closed');
      expect(openingAt(returned, T + 66_000)).toBe(2_000);
    }
  });

  it('repeatedly waits longer each time, up to a minute', () => {
    let breaker = CLOSED;
    const waits: number[] = [];
    for (let nowMs = T; waits.length < 9; nowMs = breaker.openUntilMs + 30_000) {
      breaker = back(breaker, nowMs, nowMs + 7_000);
      waits.push(breaker.openUntilMs - nowMs - 7_000);
    }
    expect(waits).toEqual([0, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('has no penalty any more once it has served for two minutes', () => {
    const twice = back(back(CLOSED, T, T + 10_000), T + 20_000, T + 30_000);
    expect(twice.openUntilMs - (T + 30_000)).toBe(2_000);
    const later = twice.openUntilMs + 120_000;
    expect(back(twice, later, later + 10_000).openUntilMs).toBe(later + 10_000);
    expect(back(twice, later - 1, later + 10_000).openUntilMs).toBe(later + 14_000);
  });
});

describe('health', () => {
  it('is ejected only when there is a heartbeat with a healthy engine', () => {
    const known = { lastHeartbeatMs: T, report: { engineHealthy: true }, breaker: CLOSED };
    expect(healthOf(known, T + 7_000)).toBe('up');
    expect(healthOf(known, T + 7_001)).toBe('silent');
    expect(healthOf({ ...known, report: { engineHealthy: false } }, T)).toBe('engine_down');
    const breaker = failAt(CLOSED, T);
    expect(healthOf({ ...known, breaker }, T + 1_999)).toBe('ejected');
    expect(healthOf({ ...known, breaker }, T + 2_000)).toBe('up');
    expect(healthOf({ ...known, breaker, report: { engineHealthy: false } }, T)).toBe('engine_down');
  });
});

describe('the eligibility of a node', () => {
  const trusted: LocalNodeView = { phase: 'closed', probing: false, busy: false };
  const full = { ...IDLE, waiting_requests: 256 };
  const cases: [string, Eligibility, Partial<NodeView>, Partial<LocalNodeView>][] = [
    ['up', 'ready', {}, {}],
    ['up, in its slow start', 'ready', { share: 0.1 }, { phase: 'slow_start' }],
    ['half open', 'ready', {}, { phase: 'half_open' }],
    ['half open with its trial request', 'probed', {}, { phase: 'half_open', probing: true }],
    ['open in this isolate', 'ejected', {}, { phase: 'open' }],
    ['open in the Pool', 'ejected', { health: 'ejected' }, {}],
    ['full', 'full', { load: full }, {}],
    ['full by its last refusal', 'full', {}, { busy: true }],
    ['silent', 'gone', { health: 'silent' }, {}],
    ['without an engine', 'gone', { health: 'engine_down' }, {}],
    ['draining', 'out_of_service', { draining: true }, {}],
    ['drained by its operator', 'out_of_service', { state: 'draining' }, {}],
    ['a canary', 'out_of_service', { state: 'canary' }, {}],
    ['quarantined', 'out_of_service', { state: 'quarantined' }, {}],
    ['removed', 'out_of_service', { state: 'removed' }, {}],
    [
      'draining, silent and full',
      'out_of_service',
      { draining: true, health: 'silent', load: full },
      { busy: true },
    ],
    ['silent and full', 'gone', { health: 'silent', load: full }, {}],
  ];
  it.each(cases)('that is %s: %s', (_, eligibility, view, local) => {
    expect(eligibilityOf(nodeView('a', view), { ...trusted, ...local })).toBe(eligibility);
  });
});

describe('partitioning nodes', () => {
  const partition = (eligibilities: Eligibility[], trustSilence = true) =>
    partitionNodes(eligibilities, (eligibility) => eligibility, { trustSilence });

  it('takes ready nodes as candidates, and other nodes with a heartbeat as a last resort', () => {
    expect(
      partition(['ready', 'ready', 'ready', 'ejected', 'probed', 'full', 'gone', 'out_of_service']),
    ).toEqual({
      candidates: ['ready', 'ready', 'ready'],
      full: ['full'],
      lastResort: ['probed', 'ejected'],
      panic: false,
    });
  });

  it('ignores ejections when more than half of the nodes in service are out, but never silence', () => {
    expect(partition(['ejected', 'ejected', 'ready'])).toMatchObject({
      candidates: ['ready', 'ejected', 'ejected'],
      panic: true,
    });
    expect(partition(['ejected', 'ready'])).toMatchObject({ candidates: ['ready'], panic: false });
    expect(partition(['ejected', 'gone', 'ready'])).toMatchObject({
      candidates: ['ready', 'ejected'],
      panic: true,
    });
    expect(partition(['gone', 'gone', 'ready'])).toMatchObject({ candidates: ['ready'], lastResort: [] });
    expect(partition(['out_of_service', 'out_of_service', 'ejected', 'ready', 'ready'])).toMatchObject({
      panic: false,
    });
  });

  it('takes silent nodes as a last resort when there is no other and the snapshot is old', () => {
    expect(partition(['gone', 'gone', 'out_of_service'])).toMatchObject({ candidates: [], lastResort: [] });
    expect(partition(['gone', 'gone', 'out_of_service'], false)).toMatchObject({
      lastResort: ['gone', 'gone'],
    });
    expect(partition(['gone', 'probed'], false)).toMatchObject({ lastResort: ['probed'] });
  });

  it('has every node with a heartbeat in some list', () => {
    const eligibilities = fc.array(
      fc.constantFrom<Eligibility>('gone', 'full', 'ejected', 'probed', 'ready'),
    );
    fc.assert(
      fc.property(eligibilities, (all) => {
        const { candidates, full, lastResort } = partition(all);
        const listed = new Set([...candidates, ...full, ...lastResort]);
        for (const each of all) if (each !== 'gone') expect(listed).toContain(each);
      }),
    );
  });

  it('calls a pool overloaded when at least as many nodes are full as are not trusted', () => {
    const overloaded = (full: number, lastResort: number) =>
      isOverloaded({ full: Array(full).fill(0), lastResort: Array(lastResort).fill(0) });
    expect([overloaded(3, 0), overloaded(3, 1), overloaded(2, 2)]).toEqual([true, true, true]);
    expect([overloaded(0, 0), overloaded(0, 2), overloaded(1, 3)]).toEqual([false, false, false]);
  });
});

describe('a queue', () => {
  const load = (waiting_requests: number, over: Partial<NodeView['load']> = {}) => ({
    ...IDLE,
    waiting_requests,
    ...over,
  });

  it('is full at its limit, or when that is unknown, at as many requests as can run', () => {
    expect(isFull(load(9, { max_queued_requests: 10 }))).toBe(false);
    expect(isFull(load(10, { max_queued_requests: 10 }))).toBe(true);
    expect(isFull(load(255))).toBe(false);
    expect(isFull(load(256))).toBe(true);
  });

  it('of length 0 is full when the engine is', () => {
    const none = { max_queued_requests: 0 };
    expect(isFull(load(0, { ...none, running_requests: 255 }))).toBe(false);
    expect(isFull(load(0, { ...none, running_requests: 256 }))).toBe(true);
  });

  it('of an engine that does not report its sizes is never full', () => {
    expect(isFull(load(0, { max_running_requests: 0 }))).toBe(false);
  });

  it('gives the time until half of it is done, between 1 and 30 s', () => {
    const busy = (waiting: number, perSecond: number) =>
      halfDrainMs([nodeView('a', { load: load(waiting, { generation_tokens_per_second: perSecond }) })]);
    expect(busy(20, 2_000)).toBe(10_000);
    expect(busy(20, 4_000)).toBe(5_000);
    expect(busy(0, 2_000)).toBe(1_000);
    expect(busy(10_000, 2_000)).toBe(30_000);
    // Without a measured rate the registered capacity counts.
    expect(busy(20, 0)).toBe(20_000);
    const two = [nodeView('a', { load: load(20) }), nodeView('b', { load: load(0) })];
    expect(halfDrainMs(two)).toBe(10_000);
    expect([clampRetryAfterMs(0), clampRetryAfterMs(7_000), clampRetryAfterMs(300_000)]).toEqual([
      1_000, 7_000, 30_000,
    ]);
  });
});

describe('a snapshot as text', () => {
  it('decodes to the same snapshot, and has less than half the size of JSON', () => {
    const nodes = Array.from({ length: 20 }, (_, i) =>
      nodeView(`node_${i}`, {
        share: (i + 1) / 20,
        draining: i % 2 === 0,
        load: { ...IDLE, max_queued_requests: i % 3 === 0 ? null : i, cache_hit_rate: i / 7 },
      }),
    );
    const snapshot = { atMs: T, nodes };
    expect(decodeSnapshot(encodeSnapshot(snapshot))).toEqual(snapshot);
    expect(encodeSnapshot(snapshot).length).toBeLessThan(JSON.stringify(snapshot).length / 2);
  });

  it('of another version is refused', () => {
    expect(() => decodeSnapshot('[0,1,[]]')).toThrow('version 0');
  });
});
