/** Empty databases: migrated once, since that takes seconds, and copied for every world. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { databaseIn, migrate } from '../../gpu-pool/local/edge.ts';

let template: Promise<string> | null = null;

/** @returns `persistTo` of workerd-process.ts. @param dir of its own, empty or not there */
export async function freshState(dir: string): Promise<string> {
  template ??= migrated();
  cpSync(await template, dir, { recursive: true });
  // where `migrate` has put it
  return join(databaseIn(dir), 'v3');
}

async function migrated(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-state-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  await migrate(dir);
  return dir;
}
