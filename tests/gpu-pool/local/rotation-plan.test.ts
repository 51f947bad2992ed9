/** `npm run rotate`: a plan for every secret that rotates, with values that the edge takes. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importJWK } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { ROTATIONS, type RotationName, rotationPlan } from '../../../gpu-pool/local/rotation-plan.ts';
import { ROTATING } from '../../../worker/lib/rotation.ts';

const state = mkdtempSync(join(tmpdir(), 'tollgate-rotate-'));
afterAll(() => rmSync(state, { recursive: true, force: true }));

function rotate(...args: string[]) {
  const env = { ...process.env, TOLLGATE_STATE: state };
  return spawnSync(process.execPath, ['gpu-pool/local/rotate.ts', ...args], { env, encoding: 'utf8' });
}

it('knows every secret that rotates, and no other', () => {
  expect(Object.keys(ROTATIONS).sort()).toEqual([...ROTATING].sort());
});

describe.each([...ROTATING])('the plan for %s', (name: RotationName) => {
  it('accepts the new one before it is used, and removes the old one last', () => {
    const plan = rotationPlan(name, 'FILE');
    const order = [
      `secret put ${name}_NEXT < FILE`,
      `echo ${name} | npx wrangler secret put USE_NEXT`,
      `secret put ${name} < FILE`,
      'secret delete USE_NEXT',
      `secret delete ${name}_NEXT`,
    ].map((command) => plan.indexOf(command));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });
});

it('makes values of 256 bits, and a signing key that is one', async () => {
  for (const name of ['AUTH_SECRET', 'KEY_PEPPER', 'OPERATOR_TOKEN'] as const)
    expect(ROTATIONS[name].newValue()).toMatch(/^[0-9a-f]{64}$/);
  const jwk = JSON.parse(ROTATIONS.EDGE_SIGNING_KEY.newValue());
  expect(jwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519' });
  await expect(importJWK(jwk, 'EdDSA')).resolves.toBeDefined();
});

it('writes the value into a file that only its owner reads, keeps it, and never prints it', () => {
  const first = rotate('KEY_PEPPER');
  expect([first.status, first.stderr]).toEqual([0, '']);
  const file = join(state, 'rotate', 'KEY_PEPPER');
  const value = readFileSync(file, 'utf8');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(first.stdout).toContain(file);
  expect(first.stdout + rotate('KEY_PEPPER').stdout).not.toContain(value);
  expect(readFileSync(file, 'utf8')).toBe(value);
});

it('says what it takes for a name that it does not know', () => {
  const { status, stdout } = rotate('PASSWORD');
  expect([status, stdout.includes('AUTH_SECRET, KEY_PEPPER')]).toEqual([2, true]);
});
