/** The goals of the bench: each is checked against the figures of one run, and only against those. */
import { describe, expect, it } from 'vitest';
import { type Goal, goals, type Measured } from '../../bench/goals.ts';
import { overRounds } from '../../bench/statistics.ts';

const NOTHING: Measured = { rows: [], memory: [], capacity: [], costs: [], growth: [], startup: null };

type Row = Measured['rows'][number];

function row(system: Row['system'], workload: string, figures: Partial<Row>, connections = 16): Row {
  const none = {
    requestsPerSecond: null,
    eventsPerSecond: null,
    p50Ms: null,
    p99Ms: null,
    addedP50Ms: null,
    addedP99Ms: null,
    addedFirstMs: null,
    cpuMsPerRequest: null,
    cpuUsPerEvent: null,
    peakBytes: null,
    rounds: [],
  };
  return { ...none, workload, connections, system, ...figures };
}

function goalOf(measured: Partial<Measured>, what: string): Goal {
  return goals({ ...NOTHING, ...measured }).find((goal) => goal.what === what)!;
}

describe('goals', () => {
  it('are unknown where a run did not measure them', () => {
    for (const goal of goals(NOTHING)) expect(goal).toMatchObject({ measured: null, met: null });
  });

  it('compare rounds with each other, so that a round of a busy machine does not decide', () => {
    const rows = [
      row('tollgate', 'paced', { cpuUsPerEvent: overRounds([60, 300, 66]) }),
      row('bare', 'paced', { cpuUsPerEvent: overRounds([40, 200, 60]) }),
    ];
    expect(goalOf({ rows }, 'CPU of a paced event ÷ bare, 100-event answers')).toMatchObject({
      measured: 1.5,
      met: true,
    });
  });

  it('take the rows of sixteen connections alone', () => {
    const rows = [
      row('tollgate', 'small', { requestsPerSecond: overRounds([100]) }, 64),
      row('bare', 'small', { requestsPerSecond: overRounds([300]) }),
    ];
    expect(goalOf({ rows }, 'unstreamed requests/s ÷ bare').measured).toBeNull();
  });

  it('are met at their bound, from either side', () => {
    const at = (requests: number) => [
      row('tollgate', 'small', { requestsPerSecond: overRounds([requests]) }),
      row('portkey', 'small', { requestsPerSecond: overRounds([100]) }),
    ];
    expect(goalOf({ rows: at(250) }, 'unstreamed requests/s ÷ Portkey').met).toBe(true);
    expect(goalOf({ rows: at(249) }, 'unstreamed requests/s ÷ Portkey').met).toBe(false);
  });

  it('divide what is grown by the first size', () => {
    const line = { idleShare: 0.05, p50Ms: 1, rowsWritten: 1, rowsRead: 1 };
    const growth = [
      { ...line, dimension: 'nodes' as const, size: 1, cpuMsPerRequest: 1 },
      { ...line, dimension: 'nodes' as const, size: 1_000, cpuMsPerRequest: 1.5 },
    ];
    expect(goalOf({ growth }, '1,000 nodes: CPU of a request ÷ that with one')).toMatchObject({
      measured: 1.5,
      met: false,
    });
    expect(goalOf({ growth }, '1,000 nodes: share of a core at rest').met).toBe(true);
  });
});
