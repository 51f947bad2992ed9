/** Processes that a client leaves behind: Cline’s command line starts a daemon in a session of its own. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Kills every process that was started with this home folder, which no other client has. Only Linux says with what a process
 * was started; elsewhere nothing is found.
 * @returns how many were killed
 */
export function killLeftBehind(home: string): number {
  const started = processIds().filter((id) => environmentOf(id).includes(`HOME=${home}`));
  return started.filter(isKilled).length;
}

/** @returns false: it had ended by itself */
function isKilled(id: number): boolean {
  try {
    return process.kill(id, 'SIGKILL');
  } catch {
    return false;
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** Empty for a process that has ended, or that is somebody else’s. */
function environmentOf(id: number): string[] {
  try {
    return readFileSync(`/proc/${id}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
