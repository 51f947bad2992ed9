/**
 * The lock that lets one agent at a time use a state folder: two would overwrite each other's journal and assign
 * the same seq twice.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartRefused } from './start-refused.ts';

export const LOCK_FILE = 'lock';
const SQLITE_BUSY = 5;

export interface StateLock {
  release(): void;
}

/**
 * Takes SQLite's exclusive lock on an empty database. The kernel releases it however the process ends, so unlike a
 * file with a pid in it the lock can neither outlive its holder nor name another process.
 * @throws StartRefused when another agent holds it
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
          `Another agent is using the state in ${directory}: stop it, or choose another --state for this one.`,
        )
      : new StartRefused(
          'state_unusable',
          `${join(directory, LOCK_FILE)} cannot be locked: choose another --state, on a local disk.`,
        );
  }
  const held = database;
  return { release: () => held.isOpen && held.close() };
}
