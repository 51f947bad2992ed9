import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../worker/gateway/node/deadlines.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('an alarm', () => {
  let rung: number[];
  let startMs: number;
  const ring = () => void rung.push(Date.now() - startMs);
  beforeEach(() => {
    rung = [];
    startMs = Date.now();
  });

  it('rings when it is due, once', () => {
    new Deadlines().alarm().set(startMs + 3_500, ring);
    vi.advanceTimersByTime(20_000);
    expect(rung).toEqual([3_500]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('moves on with each token on one timer', () => {
    const alarm = new Deadlines().alarm();
    alarm.set(startMs + 900, ring);
    const started = vi.spyOn(globalThis, 'setTimeout');
    for (let ms = 0; ms < 890; ms += 10, vi.advanceTimersByTime(10)) alarm.set(startMs + ms + 1_000, ring);
    expect(started).not.toHaveBeenCalled();
    vi.advanceTimersByTime(20_000);
    expect(rung).toEqual([1_880]);
  });

  it('rings earlier when it becomes due earlier', () => {
    const alarm = new Deadlines().alarm();
    alarm.set(startMs + 900, ring);
    alarm.set(startMs + 100, ring);
    vi.advanceTimersByTime(20_000);
    expect(rung).toEqual([100]);
  });

  it('is silent and leaves no timer once it is cleared, and can be set again', () => {
    const alarm = new Deadlines().alarm();
    alarm.set(startMs + 500, ring);
    alarm.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(2_000);
    alarm.set(Date.now() + 10, ring);
    vi.advanceTimersByTime(20_000);
    expect(rung).toEqual([2_010]);
  });

  it('shares its timer with the others of its request, and each rings at its own time', () => {
    const alarms = new Deadlines();
    const [tick, token] = [alarms.alarm(), alarms.alarm()];
    const again = () => {
      ring();
      if (rung.length < 2) tick.set(Date.now() + 1_000, again);
    };
    tick.set(startMs + 1_000, again);
    token.set(startMs + 2_500, ring);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(20_000);
    expect(rung).toEqual([1_000, 2_000, 2_500]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
