/** Finds free ports of loopback. */
import { createServer } from 'node:net';

/** The range lies below the kernel's ephemeral ports: an outgoing connection could take one of those before it is used. */
const FIRST_MIN = 20_000;
const FIRST_MAX = 32_000;

/** Each process starts its search at another block, because a port found free is not in use at once and another process may find it too. */
const BLOCK = 20;

/** @returns the first of `count` consecutive free ports */
export async function freePorts(count: number): Promise<number> {
  for (let first = FIRST_MIN + ((process.pid * BLOCK) % (FIRST_MAX - FIRST_MIN)); ; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
