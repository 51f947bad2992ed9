/** Runs before the end-to-end tests: makes one bundle of the Worker and one migrated database for all of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundle, databaseIn, migrate } from '../../gpu-pool/local/edge.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The path of the bundled Worker. */
    script: string;
    /** The path of an empty, migrated database, which each test file copies. */
    database: string;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-setup-'));
  const [script] = await Promise.all([bundle(dir), migrate(dir)]);
  project.provide('script', script);
  project.provide('database', databaseIn(dir));
  return () => rmSync(dir, { recursive: true, force: true });
}
