/** Only one agent at a time uses a state folder. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockState } from '../../../gpu-pool/agent/state-lock.ts';
import { FakeEdge } from './fake-edge.ts';
import {
  expectStartRefused,
  generate,
  setUp,
  spawnAgent,
  startTestAgent,
  tempDir,
  until,
} from './helpers.ts';
import { ScriptedEngine } from './scripted-engine.ts';

describe('a state folder', () => {
  it('is refused to a second agent, which leaves the first alone', async () => {
    const { edge, engine, agent, stateDir } = await setUp();
    const before = await readdir(stateDir);
    const { code, message } = await expectStartRefused(startTestAgent({ engineUrl: engine.url, stateDir }));
    expect(code).toBe('state_locked');
    expect(message).toContain(stateDir);
    expect(await readdir(stateDir)).toEqual(before);
    expect((await generate({ agent, edge })).done).toBe(true);
    await until(() => edge.receipts.length === 1);
  });

  it.each(['close', 'drain', 'kill'] as const)('is free after %s', async (how) => {
    const { engine, agent, stateDir } = await setUp();
    await agent[how]();
    await startTestAgent({ engineUrl: engine.url, stateDir });
  });

  it('is free after a refused start', async () => {
    const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
    const options = { engineUrl: engine.url, edgeUrl: edge.url, stateDir };
    await expectStartRefused(startTestAgent({ ...options, joinToken: 'used' }));
    const { url } = await startTestAgent(options);
    expect(edge.enrolments[0]?.url).toBe(url);
  });

  it('is held by a real process, and free the moment it is killed', async () => {
    const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
    const args = ['--engine', engine.url, '--edge', edge.url, '--state', stateDir];
    const first = await spawnAgent(args, { TOLLGATE_JOIN_TOKEN: 'join-me' });
    const second = await spawnAgent(args);
    expect(await second.exit).toBe(1);
    expect(second.stderr()).toMatch(/^Another agent is using the state in [^\n]+\.\n$/);
    first.child.kill('SIGKILL');
    await first.exit;
    const third = await spawnAgent(args);
    expect(third.url).toBe(first.url);
  });

  it('is not locked by files that a dead agent left', async () => {
    const stateDir = await tempDir();
    await writeFile(join(stateDir, 'lock'), '');
    await writeFile(join(stateDir, 'lock-journal'), '');
    lockState(stateDir).release();
  });
});
