/** Ports of loopback that nobody listens on. */
import { createServer } from 'node:net';

/** Below those that the kernel gives to whoever names none: a connection out could have one by the time it is used. */
const FIRST_MIN = 20_000;
const FIRST_MAX = 32_000;

/** Of one process: what it has found free it may not use at once, while another looks. */
const BLOCK = 20;

/** The first of `count` ports in a row. */
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
