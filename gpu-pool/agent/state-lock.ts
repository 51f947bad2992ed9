/** One agent a state folder: two would write over each other's journal and give out the same seq twice. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartRefused } from './start-refused.ts';

export const LOCK_FILE = 'lock';
const SQLITE_BUSY = 5;

export interface StateLock {
  release(): void;
}

/**
 * SQLite's exclusive lock on an empty database. The kernel lets go of it when the process ends in whatever way,
 * so unlike a file with a pid in it a lock can neither outlive its holder nor name somebody else's process.
 * @throws StartRefused when another agent has it
 */
export function lockState(directory: string): StateLock {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(join(directory, LOCK_FILE));
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    throw (error as { errcode?: number }).errcode === SQLITE_BUSY
      ? new StartRefused(
          'state_locked',
          `Another agent runs with the state in ${directory}: end it, or choose another --state for this one.`,
        )
      : new StartRefused(
          'state_unusable',
          `${join(directory, LOCK_FILE)} cannot be locked: choose another --state, on a local disk.`,
        );
  }
  const held = database;
  return { release: () => held.isOpen && held.close() };
}
