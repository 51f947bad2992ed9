/** Before the end-to-end tests: one bundle of the Worker for all of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundle } from '../../gpu-pool/local/edge.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** path of the bundled Worker */
    script: string;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bundle-'));
  project.provide('script', await bundle(dir));
  return () => rmSync(dir, { recursive: true, force: true });
}
