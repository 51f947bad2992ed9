/** What a process has used, from Linux's /proc; null where there is none. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const isThere = existsSync('/proc/self/stat');
/** `getconf CLK_TCK` of every Linux that Node runs on */
const TICKS_PER_SECOND = 100;

/** User and system time so far of all its threads, in milliseconds. */
export function cpuMs(pids: readonly number[]): number | null {
  if (!isThere) return null;
  return pids.reduce((sum, pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the second field, a name in brackets, may have spaces in it
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return sum + ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
  }, 0);
}

/** The most memory that they had since `forgetPeak`. */
export function peakBytes(pids: readonly number[]): number | null {
  if (!isThere) return null;
  return pids.reduce((sum, pid) => {
    const kib = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return sum + Number(kib ?? Number.NaN) * 1_024;
  }, 0);
}

/** Where the kernel does not let it be reset the peak is that since the start. */
export function forgetPeak(pids: readonly number[]): void {
  if (!isThere) return;
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      return;
    }
  }
}

/** Processes that it started itself. */
export function childrenOf(pid: number): number[] {
  if (!isThere) return [];
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}
