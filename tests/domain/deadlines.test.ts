import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../worker/gateway/node/deadlines.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a deadline', () => {
  let firedMs: number[];
  let startMs: number;
  const fire = () => void firedMs.push(Date.now() - startMs);
  beforeEach(() => {
    firedMs = [];
    startMs = Date.now();
  });

  it('fires once, when it is due', () => {
    new Deadlines().newDeadline().set(startMs + 3_500, fire);
    vi.advanceTimersByTime(20_000);
    expect(firedMs).toEqual([3_500]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('moves on with each token, on one timer', () => {
    const deadline = new Deadlines().newDeadline();
    deadline.set(startMs + 900, fire);
    const started = vi.spyOn(globalThis, 'setTimeout');
    for (let ms = 0; ms < 890; ms += 10, vi.advanceTimersByTime(10)) deadline.set(startMs + ms + 1_000, fire);
    expect(started).not.toHaveBeenCalled();
    vi.advanceTimersByTime(20_000);
    expect(firedMs).toEqual([1_880]);
  });

  it('fires earlier when it is set to an earlier time', () => {
    const deadline = new Deadlines().newDeadline();
    deadline.set(startMs + 900, fire);
    deadline.set(startMs + 100, fire);
    vi.advanceTimersByTime(20_000);
    expect(firedMs).toEqual([100]);
  });

  it('does not fire and leaves no timer once it is cleared, and can be set again', () => {
    const deadline = new Deadlines().newDeadline();
    deadline.set(startMs + 500, fire);
    deadline.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(2_000);
    deadline.set(Date.now() + 10, fire);
    vi.advanceTimersByTime(20_000);
    expect(firedMs).toEqual([2_010]);
  });

  it('shares its timer with the other deadlines of its request, and each fires at its own time', () => {
    const deadlines = new Deadlines();
    const [tick, token] = [deadlines.newDeadline(), deadlines.newDeadline()];
    const fireTwice = () => {
      fire();
      if (firedMs.length < 2) tick.set(Date.now() + 1_000, fireTwice);
    };
    tick.set(startMs + 1_000, fireTwice);
    token.set(startMs + 2_500, fire);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(20_000);
    expect(firedMs).toEqual([1_000, 2_000, 2_500]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
