import { describe, expect, it } from 'vitest';
import { medianLatencyMs, overall, type Probe, stateOf, uptime } from '../../worker/domain/status.ts';

const NOW = 1_790_000_000_000;
/** One probe a minute, newest first: `.` was answered, `x` was not. */
const probes = (text: string, lastAgoMs = 30_000): Probe[] =>
  [...text].map((each, index) => ({
    component: 'api',
    atMs: NOW - lastAgoMs - index * 60_000,
    ok: each === '.',
    latencyMs: 10 + index,
    fault: each === '.' ? null : 'store',
  }));

describe('the state of a component', () => {
  it.each([
    ['....................', 'operational'],
    ['x...................', 'degraded'],
    ['xx..................', 'degraded'],
    ['xxx.................', 'down'],
    ['.xxx................', 'degraded'],
    ['..............x.....', 'degraded'],
    // The failure was sixteen minutes ago.
    ['................x...', 'operational'],
    ['', 'unknown'],
    // The service is new and has two probes only.
    ['xx', 'degraded'],
  ])('%s is %s', (text, state) => expect(stateOf(probes(text), NOW)).toBe(state));

  it('is unknown after five minutes without a probe', () => {
    expect(stateOf(probes('...', 300_000), NOW)).toBe('operational');
    expect(stateOf(probes('xxx', 300_001), NOW)).toBe('unknown');
  });
});

it('the overall state is that of the worst known component', () => {
  expect(overall(['operational', 'degraded', 'unknown'])).toBe('degraded');
  expect(overall(['down', 'degraded'])).toBe('down');
  expect(overall(['unknown', 'operational'])).toBe('operational');
  expect(overall(['unknown'])).toBe('unknown');
  expect(overall([])).toBe('unknown');
});

it('computes uptime and median latency', () => {
  expect(uptime([])).toBeNull();
  expect(uptime([{ probes: 0, failures: 0 }])).toBeNull();
  expect(
    uptime([
      { probes: 3, failures: 1 },
      { probes: 1, failures: 0 },
    ]),
  ).toBe(0.75);
  expect(medianLatencyMs(probes('x..x.'))).toBe(12);
  expect(medianLatencyMs(probes('xxx'))).toBeNull();
});
