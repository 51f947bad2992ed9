/** Resource usage of processes from Linux's /proc; null on other platforms. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const hasProc = existsSync('/proc/self/stat');
/** The value of `getconf CLK_TCK` on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads so far, in milliseconds. */
export function cpuMs(pids: readonly number[]): number | null {
  if (!hasProc) return null;
  return pids.reduce((sum, pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the second field, a name in parentheses, may contain spaces
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return sum + ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
  }, 0);
}

/** The peak resident memory since `forgetPeak`. */
export function peakBytes(pids: readonly number[]): number | null {
  if (!hasProc) return null;
  return pids.reduce((sum, pid) => {
    const kib = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return sum + Number(kib ?? Number.NaN) * 1_024;
  }, 0);
}

/** The proportional set size now: memory that processes share counts in parts. */
export function proportionalBytes(pids: readonly number[]): number | null {
  if (!hasProc) return null;
  return pids.reduce((sum, pid) => {
    const kib = /^Pss:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return sum + Number(kib ?? Number.NaN) * 1_024;
  }, 0);
}

/** Resets the peak. Where the kernel does not allow it, the peak is that since the process's start. */
export function forgetPeak(pids: readonly number[]): void {
  if (!hasProc) return;
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      return;
    }
  }
}

/** The ids of the direct child processes, started by any of its threads. */
export function childrenOf(pid: number): number[] {
  if (!hasProc) return [];
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((task) => {
    const text = readFileSync(join(tasks, task, 'children'), 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  });
}

/** A process and all below it; without /proc itself alone. */
export function treeOf(pid: number): number[] {
  return existsSync(`/proc/${pid}`) ? [pid, ...childrenOf(pid).flatMap(treeOf)] : [pid];
}
