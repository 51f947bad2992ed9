/**
 * A rotation of EDGE_SIGNING_KEY over real processes: agents learn the next key from the edge, and serve at every step.
 * The edge of this machine changes its settings by a restart, which no stream survives, so each step's stream begins after
 * its restart.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import { api, chatBody, eventsOf, eventually, type Local, startLocal } from './local.ts';

let local: Local;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.end());

/** Restarts the edge with other secrets: those of its folder, with these lines after them. */
async function restartWith(lines: Readonly<Record<string, string>>, secrets: string): Promise<void> {
  await local.stack.edge.stop();
  const added = Object.entries(lines).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(local.stateDir, 'edge.env'), [secrets, ...added].join(''));
  await local.stack.restartEdge();
}

interface Secret {
  readonly name: string;
  readonly step: string;
  readonly left: { readonly nodes?: number };
}

const stateOfKey = async () => {
  const { secrets } = await operatorApi<{ secrets: Secret[] }>(local.stack.edge, 'GET', '/secrets');
  return secrets.find(({ name }) => name === 'EDGE_SIGNING_KEY')!;
};

async function streamEndsWhole(): Promise<void> {
  const body = chatBody('hello [[reasoning=5 answer=40]]', { stream: true });
  const response = await api(local, '/v1/chat/completions', { method: 'POST', body });
  expect([response.status, eventsOf(await response.text()).at(-1)]).toEqual([200, '[DONE]']);
}

it('agents learn the next key before it signs, and serve at every step', async () => {
  const secrets = readFileSync(join(local.stateDir, 'edge.env'), 'utf8');
  const next = JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }));
  const without = secrets.replace(/^EDGE_SIGNING_KEY=.*\n/m, '');
  await streamEndsWhole();

  await restartWith({ EDGE_SIGNING_KEY_NEXT: next }, secrets);
  await eventually(async () => (await stateOfKey()).left.nodes === 0, 60_000);
  expect((await stateOfKey()).step).toBe('accepted');
  await streamEndsWhole();

  await restartWith({ EDGE_SIGNING_KEY_NEXT: next, USE_NEXT: 'EDGE_SIGNING_KEY' }, secrets);
  expect((await stateOfKey()).step).toBe('in_use');
  await streamEndsWhole();

  await restartWith({ EDGE_SIGNING_KEY: next }, without);
  expect((await stateOfKey()).step).toBe('alone');
  await streamEndsWhole();
}, 180_000);
