/** A process that a client leaves behind is found by its home folder and ended, and no other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { killLeftBehind } from '../clients/left-behind.ts';

it.runIf(process.platform === 'linux')(
  'a process of its own session is ended by its home folder',
  async () => {
    const start = (home: string) => {
      const child = spawn('sleep', ['600'], { env: { ...process.env, HOME: home }, detached: true });
      return { child, ended: once(child, 'exit') };
    };
    const [left, other] = [start('/nowhere/left-behind'), start('/nowhere/other')];
    await Promise.all([once(left.child, 'spawn'), once(other.child, 'spawn')]);
    expect(killLeftBehind('/nowhere/left-behind')).toBe(1);
    expect(await left.ended).toEqual([null, 'SIGKILL']);
    expect(other.child.exitCode).toBeNull();
    other.child.kill();
    await other.ended;
    expect(killLeftBehind('/nowhere/other')).toBe(0);
  },
);
