/** A short soak with a fixed seed: edge, agent, engine and a whole node are killed, and every law must hold. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { failed, report } from '../soak/report.ts';
import { soak } from '../soak/soak.ts';

it('kills of every kind of process neither lose nor invent a token', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-soak-'));
  const result = await soak({
    seed: 7,
    stateDir,
    script: inject('script'),
    requests: 40,
    // the plan begins with the four kinds of kill
    everyRequests: 5,
    clients: 8,
    racers: 200,
  });
  expect(failed(result), `${report(result)}\nState in ${stateDir}`).toBe(false);
  for (const kill of ['kill_edge', 'kill_agent', 'kill_engine', 'kill_node'])
    expect(result.faults.get(kill)).toBeGreaterThan(0);
  expect(result.observations.some(({ ending }) => ending === 'whole')).toBe(true);
  rmSync(stateDir, { recursive: true, force: true });
}, 300_000);
