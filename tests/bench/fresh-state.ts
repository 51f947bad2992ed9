/** Empty migrated databases. Migrating takes seconds, so it is done once and the result copied for every world. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { databaseIn, migrate } from '../../gpu-pool/local/edge.ts';

export type Migrate = typeof migrate;

const templates = new Map<Migrate, Promise<string>>();

/**
 * @param dir a folder that is empty or does not exist. @param how the migrations of another revision; absent: this one's
 * @returns `persistTo` for workerd-process.ts
 */
export async function freshState(dir: string, how: Migrate = migrate): Promise<string> {
  const template = templates.get(how) ?? migrated(how);
  templates.set(how, template);
  cpSync(await template, dir, { recursive: true });
  // the subfolder that `migrate` creates
  return join(databaseIn(dir), 'v3');
}

async function migrated(how: Migrate): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-state-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  await how(dir);
  return dir;
}
