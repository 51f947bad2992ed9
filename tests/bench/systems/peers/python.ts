/** Programs from PyPI, each in a virtual environment of its own, where this machine has Python. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../../gpu-pool/local/process.ts';
import type { Missing } from '../system.ts';

/** @param requirement a package at one version. @returns the folder of its commands */
export async function pythonPackage(cacheDir: string, requirement: string): Promise<string | Missing> {
  const venv = join(cacheDir, requirement.replace(/\W+/g, '-'));
  const bin = join(venv, 'bin');
  const installed = join(venv, 'installed');
  if (existsSync(installed)) return bin;
  rmSync(venv, { recursive: true, force: true });
  const made = await run('python3', ['-m', 'venv', venv]).catch((error: Error) => error);
  if (made instanceof Error) return { missing: 'python3 with venv is not on this machine' };
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input'];
  const got = await run(join(bin, 'pip'), ['install', ...quiet, requirement]).catch((error: Error) => error);
  if (got instanceof Error) return { missing: `pip cannot install ${requirement}: ${lastLine(got.message)}` };
  writeFileSync(installed, requirement);
  return bin;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)!.slice(0, 300);
}
