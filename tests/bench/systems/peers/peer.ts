/** A gateway of someone else, as a system: a process of its own, with all that it starts. */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { treeOf } from '../../proc.ts';
import { requestBody, workloadNamed } from '../../workloads.ts';
import { CHAT_PATH, FORWARDS_ONLY, type System, type SystemName } from '../system.ts';

export interface PeerOrder {
  readonly name: SystemName;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A folder for its files and its log. */
  readonly dir: string;
  readonly port: number;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly fits?: System['fits'];
  /** Prepares a process that listens, before it can answer. */
  readonly prepare?: () => Promise<void>;
}

/** Python programs of this size take most of a minute to import on a busy machine. */
const READY_WITHIN_MS = 180_000;

/** The part of a log that an error shows. */
const LOG_CHARACTERS = 1_000;

/** Starts it and waits for a first answer. @throws Error with the end of its log when there is none */
export async function startPeer(order: PeerOrder): Promise<System> {
  const { name, command, args, env = {}, dir, port, key = 'x', headers = {}, fits } = order;
  mkdirSync(dir, { recursive: true });
  const logFile = join(dir, `${name}.log`);
  const log = openSync(logFile, 'w');
  const child = spawn(command, args, {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', log, log],
  });
  const kill = () => {
    for (const pid of treeOf(child.pid!)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  };
  process.once('exit', kill);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  const system: System = {
    ...{ ...FORWARDS_ONLY, name, port, keys: [key], headers, pids: [child.pid!] },
    ...(fits ? { fits } : {}),
    isPeer: true,
    stop: async () => {
      process.off('exit', kill);
      kill();
      await exited;
    },
  };
  try {
    await listening(port, isOver);
    await order.prepare?.();
    await answering(system, isOver);
  } catch (error) {
    await system.stop();
    const last = readFileSync(logFile, 'utf8').slice(-LOG_CHARACTERS);
    throw new Error(`${name}: ${(error as Error).message}\n${last}`);
  }
  return { ...system, pids: treeOf(child.pid!) };
}

async function listening(port: number, isOver: () => boolean): Promise<void> {
  const ask = () => fetch(`http://127.0.0.1:${port}/`).then(() => true);
  await until(ask, isOver, 'it does not listen');
}

async function answering({ port, keys, headers }: System, isOver: () => boolean): Promise<void> {
  const url = `http://127.0.0.1:${port}${CHAT_PATH}`;
  const body = requestBody(workloadNamed('small'));
  const authorization = `Bearer ${keys[0]}`;
  const all = { ...headers, authorization, 'content-type': 'application/json' };
  let last = '';
  const ask = async () => {
    const response = await fetch(url, { method: 'POST', headers: all, body });
    last = `${response.status} ${(await response.text()).slice(0, 300)}`;
    return response.ok;
  };
  await until(ask, isOver, () => `it does not answer: ${last}`);
}

async function until(
  isTrue: () => Promise<boolean>,
  isOver: () => boolean,
  fault: string | (() => string),
): Promise<void> {
  const deadlineMs = Date.now() + READY_WITHIN_MS;
  while (!(await isTrue().catch(() => false))) {
    const message = typeof fault === 'string' ? fault : fault();
    if (isOver()) throw new Error(`it has ended; ${message}`);
    if (Date.now() > deadlineMs) throw new Error(message);
    await wait(200);
  }
}
