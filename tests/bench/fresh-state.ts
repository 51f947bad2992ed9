/** Empty migrated databases. Migrating takes seconds, so it is done once and the result copied for every world. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { databaseIn, migrate } from '../../gpu-pool/local/edge.ts';

let template: Promise<string> | null = null;

/** @param dir a folder that is empty or does not exist. @returns `persistTo` for workerd-process.ts */
export async function freshState(dir: string): Promise<string> {
  template ??= migrated();
  cpSync(await template, dir, { recursive: true });
  // the subfolder that `migrate` creates
  return join(databaseIn(dir), 'v3');
}

async function migrated(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-state-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  await migrate(dir);
  return dir;
}
