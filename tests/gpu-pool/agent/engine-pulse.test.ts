/** Whether an engine hangs, by what its snapshots and tokens show: pure rules, in made-up time. */
import { describe, expect, it } from 'vitest';
import {
  EnginePulse,
  type PendingPrompt,
  type RankSnapshot,
  SILENCE_MS,
} from '../../../gpu-pool/agent/engine-pulse.ts';

const LOOK_MS = 2_000;
const LIMITS = { tokensMax: 8_192, msMax: 300_000 };
/** 14,000 tokens a second: a step of 8,192 tokens takes 0.6 s. */
const FAST = { tokens: 1_400_000, microseconds: 100_000_000 };
/** 400 tokens a second: the same step takes 20.5 s. */
const SLOW = { tokens: 40_000, microseconds: 100_000_000 };

interface Seen {
  at?: number | null;
  waits?: boolean;
  prefilled?: RankSnapshot['prefilled'];
}

/** An engine that is looked at every two seconds, with a clock of its own that is far from ours. */
class Watched {
  nowMs = 0;
  readonly pulse = new EnginePulse({ nowMs: 0 });
  pending: PendingPrompt[] = [];
  hungAtMs: number | null = null;

  readonly prefilled: RankSnapshot['prefilled'];

  constructor(prefilled: RankSnapshot['prefilled'] = FAST) {
    this.prefilled = prefilled;
    this.look([{ at: 1_000 }]);
  }

  look(ranks: readonly Seen[] | null): boolean {
    const snapshots = ranks?.map(({ at = null, waits = false, prefilled = this.prefilled }, rank) => ({
      ...{ rank, at, waits, prefilled },
    }));
    this.pulse.look(this.nowMs, snapshots ?? null);
    const hung = this.pulse.isHung(this.nowMs, this.pending, LIMITS);
    if (hung) this.hungAtMs ??= this.nowMs;
    return hung;
  }

  /** Looks every two seconds. @returns whether it counted as hung at any look */
  looks(forMs: number, ranks: (nowMs: number) => readonly Seen[] | null): boolean {
    let hung = false;
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; ) {
      this.nowMs += LOOK_MS;
      hung = this.look(ranks(this.nowMs)) || hung;
    }
    return hung;
  }

  send(tokensMax: number): void {
    this.pending.push({ sentAtMs: this.nowMs, tokensMax });
  }
}

/** Snapshots of a scheduler that publishes all the time, on a host whose clock is an hour slow. */
const publishing = (nowMs: number) => [{ at: (nowMs - 3_600_000) / 1_000 + 10_000_000 }];
const frozen = () => [{ at: 1_000 }];

describe('an engine', () => {
  it('that publishes lives, whatever its clock says', () => {
    expect(new Watched().looks(60_000, publishing)).toBe(false);
    // A clock that is set back still changes.
    expect(new Watched().looks(60_000, (nowMs) => [{ at: 9_000_000 - nowMs }])).toBe(false);
  });

  it('that is idle and publishes nothing hangs, and is noticed within eight seconds', () => {
    const engine = new Watched();
    engine.looks(60_000, frozen);
    expect(engine.hungAtMs).toBe(6_000);
  });

  it('that has begun all its answers hangs where neither tokens nor snapshots come', () => {
    const engine = new Watched();
    engine.looks(20_000, (nowMs) => {
      engine.pulse.sign(nowMs);
      return frozen();
    });
    expect(engine.hungAtMs).toBeNull();
    engine.looks(20_000, frozen);
    expect(engine.hungAtMs).toBe(26_000);
  });

  it('is back as soon as its snapshot moves', () => {
    const engine = new Watched();
    expect(engine.looks(20_000, frozen)).toBe(true);
    expect(engine.looks(2_000, publishing)).toBe(false);
  });

  it('whose server answers nothing hangs, and one missed look proves nothing', () => {
    const engine = new Watched();
    engine.looks(20_000, () => null);
    expect(engine.hungAtMs).toBe(6_000);
    // The agent itself slept, and woke to a look without an answer.
    const asleep = new Watched();
    asleep.nowMs = 60_000;
    expect(asleep.look(null)).toBe(false);
  });

  it('that never answered hangs, too', () => {
    const pulse = new EnginePulse({ nowMs: 0 });
    pulse.look(2_000, null);
    expect(pulse.isHung(2_000, [], LIMITS)).toBe(false);
    expect(pulse.isHung(SILENCE_MS, [], LIMITS)).toBe(true);
  });
});

describe('a prefill step', () => {
  it.each([17, 40, 80])('of %i s is no hang on an engine that is slow, however many follow', (seconds) => {
    const engine = new Watched(SLOW);
    engine.send(18_000);
    const publishedAt = (nowMs: number) => Math.floor(nowMs / (seconds * 1_000));
    const rate = { tokens: 8_192, microseconds: seconds * 1_000_000 };
    const hung = engine.looks(600_000, (nowMs) => {
      const steps = publishedAt(nowMs);
      const { tokens, microseconds } = SLOW;
      return [
        {
          at: 1_000 + steps,
          prefilled: {
            tokens: tokens + steps * rate.tokens,
            microseconds: microseconds + steps * rate.microseconds,
          },
        },
      ];
    });
    expect(hung).toBe(false);
  });

  it('is told from a hang by its duration: on a fast engine a hang with prompts is noticed as soon as without', () => {
    const engine = new Watched(FAST);
    engine.send(100_000);
    engine.looks(60_000, frozen);
    expect(engine.hungAtMs).toBe(6_000);
  });

  it('ends in a hang on a slow engine, too: eight times a whole step', () => {
    const engine = new Watched(SLOW);
    engine.send(100_000);
    engine.looks(400_000, frozen);
    expect(engine.hungAtMs).toBe(164_000);
  });

  it('is no longer than its prompts', () => {
    const engine = new Watched(SLOW);
    engine.send(1_000);
    engine.looks(60_000, frozen);
    // 1,000 tokens take 2.5 s, and at worst 20 s.
    expect(engine.hungAtMs).toBe(20_000);
  });

  it('is not assumed for a prompt that was sent after the engine had fallen silent', () => {
    const engine = new Watched(SLOW);
    engine.looks(2_000, frozen);
    engine.send(100_000);
    engine.looks(60_000, frozen);
    expect(engine.hungAtMs).toBe(6_000);
  });

  it('is assumed while requests wait at the engine, as one does that gave way to another', () => {
    const engine = new Watched(SLOW);
    const waiting = () => [{ at: 2_000, waits: true }];
    expect(engine.looks(160_000, waiting)).toBe(false);
  });

  it('may last as long as the engine itself allows where its rate is not measured yet', () => {
    const engine = new Watched(null);
    engine.send(100);
    engine.looks(400_000, () => [{ at: 1_000, prefilled: null }]);
    expect(engine.hungAtMs).toBe(300_000);
  });

  it('may take four times as long as the one before it: the measured steps of a CPU', () => {
    // 4,096 tokens each, after a short prompt at 1.3 ms a token.
    const engine = new Watched({ tokens: 345, microseconds: 450_000 });
    engine.send(14_000);
    let at = 1_000;
    for (const ms of [11_800, 33_300, 54_000, 76_000]) {
      expect(engine.looks(Math.floor(ms / LOOK_MS) * LOOK_MS, () => [{ at }])).toBe(false);
      at += ms / 1_000;
      engine.looks(LOOK_MS, () => [{ at }]);
    }
    // A step that was measured says nothing of an engine with nothing to prefill.
    engine.pending = [];
    const idleMs = engine.nowMs;
    engine.looks(20_000, () => [{ at }]);
    expect(engine.hungAtMs! - idleMs).toBe(6_000);
  });

  it('is not learned from a hang', () => {
    const engine = new Watched(FAST);
    engine.looks(60_000, frozen);
    engine.looks(2_000, () => [{ at: 1_060 }]);
    engine.hungAtMs = null;
    engine.send(100_000);
    engine.looks(2_000, () => [{ at: 1_062 }]);
    const since = engine.nowMs;
    engine.looks(60_000, () => [{ at: 1_062 }]);
    expect(engine.hungAtMs! - since).toBe(6_000);
  });
});

describe('data-parallel ranks', () => {
  const two = (second: Seen) => (nowMs: number) => [{ at: nowMs }, second];

  it('hang where one of them does, although tokens flow from another', () => {
    const engine = new Watched();
    engine.looks(2_000, (nowMs) => [{ at: nowMs }, { at: 5 }]);
    engine.looks(20_000, (nowMs) => {
      engine.pulse.sign(nowMs);
      return two({ at: 5 })(nowMs);
    });
    expect(engine.hungAtMs).toBe(8_000);
  });

  it('hang where one is no longer shown', () => {
    const engine = new Watched();
    engine.looks(2_000, (nowMs) => [{ at: nowMs }, { at: nowMs }]);
    engine.looks(20_000, (nowMs) => [{ at: nowMs }]);
    expect(engine.hungAtMs).toBe(8_000);
  });

  it('without times are judged by tokens and health checks', () => {
    const engine = new Watched();
    engine.pulse.reset(0);
    const none = () => [{ at: null }, { at: null }];
    expect(
      engine.looks(20_000, (nowMs) => {
        engine.pulse.sign(nowMs);
        return none();
      }),
    ).toBe(false);
    expect(engine.looks(20_000, none)).toBe(true);
  });
});
