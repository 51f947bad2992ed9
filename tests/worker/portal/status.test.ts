/**
 * Probes send requests like customers' at nobody's expense; the public status page shows their results without naming
 * nodes.
 */
import { env as bindings } from 'cloudflare:workers';
import { beforeEach, expect, it, vi } from 'vitest';
import type { Env } from '../../../worker/env.ts';
import { takeCanaryReceipts } from '../../../worker/fleet/canary-receipts.ts';
import { probeAll } from '../../../worker/fleet/probe.ts';
import { en } from '../../../worker/i18n/en/index.ts';
import { answer, type FakeNode, freshNetwork, nodeError, stream } from '../fake-node.ts';
import { auditOf, receipt } from '../fleet/fixtures.ts';
import { newModel } from '../gateway/client.ts';
import { Browser } from './browser.ts';

const env = bindings as unknown as Env;
const network = freshNetwork();
const healthy = () => stream(answer({ prompt: 250, reasoning: ['Hm.'], content: ['They sing.'] }));
const MIN_MS = 60_000;

let model: string;
let node: FakeNode;
beforeEach(async () => {
  await env.DB.exec('DELETE FROM probe; DELETE FROM probe_day');
  model = newModel();
  node = await network().add(model, healthy);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});

interface Component {
  component: string;
  state: string;
  fault: string | null;
  uptime_24h: number | null;
  uptime_90d: number | null;
}

async function statusOf(component: string): Promise<Component | undefined> {
  const { components } = await (await new Browser().get('/status.json')).json<{ components: Component[] }>();
  return components.find((each) => each.component === component);
}

const probe = (minutesAgo = 0) => probeAll(env, { nowMs: Date.now() - minutesAgo * MIN_MS, random: 0 });

it('probes the stores, and one node of each model that has nodes', async () => {
  await probe();
  expect(node.received).toHaveLength(1);
  expect(node.received[0]!.claims.sub).toBe('canary');
  expect(await statusOf('api')).toMatchObject({ state: 'operational', uptime_24h: 1, uptime_90d: 1 });
  expect(await statusOf(model)).toMatchObject({ state: 'operational', fault: null });
  // no node serves it, so it is not offered rather than down
  expect(await statusOf(newModel())).toBeUndefined();
});

it('reports a model as degraded after failed probes, and as down when its node is gone', async () => {
  node.script = () => nodeError(503, 'overloaded');
  for (const ago of [4, 3]) await probe(ago);
  expect(await statusOf(model)).toMatchObject({ state: 'degraded', fault: 'no_answer' });
  network().unplug(node);
  await probe(2);
  expect(await statusOf(model)).toMatchObject({ state: 'down' });
  const page = await (await new Browser().get('/status')).text();
  expect(page).toContain(en.status.overall.down);
  expect(page).toContain(en.status.faults.no_answer);
  expect(page).not.toContain(node.id);
  await node.report({ engineHealthy: false });
  await probe(1);
  expect(await statusOf(model)).toMatchObject({ state: 'down', fault: 'no_node' });
  expect(await statusOf('api')).toMatchObject({ state: 'operational' });
});

it('counts the same minute once, and deletes probes after two days but keeps the daily sums', async () => {
  const nowMs = Date.now();
  for (const _ of 'twice') await probeAll(env, { nowMs, random: 0 });
  await probe(3 * 24 * 60);
  await probe();
  const sum = (sql: string) => env.DB.prepare(sql).bind(model).first<number>('n');
  expect(await sum('SELECT count(*) AS n FROM probe WHERE component = ?')).toBe(2);
  expect(await sum('SELECT sum(probes) AS n FROM probe_day WHERE component = ?')).toBe(3);
});

it('accepts the receipt of a probe, bills nobody and writes no audit row', async () => {
  await probe();
  const { jti, sub } = node.received[0]!.claims;
  const taken = await takeCanaryReceipts(
    env,
    { id: node.id, modelId: model },
    [receipt(7, sub, { request_id: jti, model })],
    Date.now(),
  );
  expect(taken).toEqual([7]);
  const actions = (await auditOf(node.id)).map(({ action }) => action);
  expect(actions).not.toContain('receipts.refused');
});

it('renders before anything was probed, in French, too', async () => {
  const page = await (await new Browser('fr').get('/status')).text();
  expect(page).toContain('Aucun contrôle récent');
});
