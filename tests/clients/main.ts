/** `npm run clients [-- NAME…]`: leads real clients through every scenario and renews their fixtures. Exits with 1 where one differs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stopAll } from '../../gpu-pool/local/process.ts';
import { type Stack, startStack } from '../../gpu-pool/local/stack.ts';
import { freePorts } from '../e2e/ports.ts';
import type { Client } from './client.ts';
import { CLIENTS } from './clients.ts';
import { conduct } from './conduct.ts';
import {
  type Fixture,
  fixtureFile,
  listFixtures,
  type RecordedScenario,
  readFixture,
  storedFixture,
} from './fixture.ts';
import { installClients, pinnedVersion } from './installed.ts';
import { replayed } from './replay.ts';
import { SCENARIOS } from './scenario.ts';
import { PLAN } from './stack.ts';

const USAGE = `Usage: npm run clients [-- [--scenario NAME]… [--outcomes] [CLIENT…]]
Installs the pinned clients (npm and PyPI) into a cache of the user's, starts an edge, an agent and an emulated engine in a
folder of their own, leads each client through each scenario, and writes what it asked and got to tests/clients/fixtures.
--outcomes needs no client: it replays what is recorded and renews what is expected of the answers.
Clients: ${CLIENTS.map(({ name }) => name).join(', ')}
Scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scenario: { type: 'string', multiple: true },
    outcomes: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAll().then(() => process.exit(130)));
}
const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-clients-'));
try {
  const port = await freePorts(2);
  const stack = await startStack({
    stateDir,
    port: Number(process.env.TOLLGATE_PORT ?? port),
    nodePort: Number(process.env.TOLLGATE_NODE_PORT ?? port + 1),
    speed: 0,
    plan: PLAN,
    onStep: (step) => console.log(`· ${step}…`),
  });
  const failed = values.outcomes ? await renewOutcomes(stack) : await renewFixtures(stack);
  await stack.stop();
  rmSync(stateDir, { recursive: true, force: true });
  process.exit(failed ? 1 : 0);
} catch (error) {
  console.error(`\n${(error as Error).message}\nThe state is kept in ${stateDir}`);
  await stopAll();
  process.exit(2);
}

/** @returns whether anything was not as a scenario wants it */
async function renewFixtures(stack: Stack): Promise<boolean> {
  const installed = await installClients((line) => console.log(`· ${line}…`));
  let failed = false;
  for (const client of chosen()) failed = (await renewFixture(stack, client, installed)) || failed;
  return failed;
}

function chosen(): readonly Client[] {
  const unknown = positionals.filter((name) => !CLIENTS.some((client) => client.name === name));
  if (unknown.length > 0) throw new Error(`No such client: ${unknown.join(', ')}.\n${USAGE}`);
  return positionals.length === 0 ? CLIENTS : CLIENTS.filter(({ name }) => positionals.includes(name));
}

async function renewFixture(stack: Stack, client: Client, installed: string): Promise<boolean> {
  const version = pinnedVersion(client.package);
  console.log(`\n${client.name} ${version}`);
  // Scenarios that are not led through now stay as they are recorded.
  const scenarios: Record<string, RecordedScenario> = listFixtures().includes(client.name)
    ? { ...readFixture(client.name).scenarios }
    : {};
  let failed = false;
  for (const scenario of SCENARIOS) {
    const { name } = scenario;
    if (values.scenario && !values.scenario.includes(name)) continue;
    const reason = client.without?.[name];
    const conducted = reason === undefined ? await conduct(stack, client, { scenario, installed }) : null;
    delete scenarios[name];
    if (conducted === null) {
      console.log(`  –  ${name}: ${reason ?? 'it has no tool for it.'}`);
      continue;
    }
    scenarios[name] = conducted.recorded;
    const requests = conducted.recorded.turns.reduce((sum, { exchanges }) => sum + exchanges.length, 0);
    console.log(`  ${conducted.differences.length > 0 ? '✗ ' : '✓ '} ${name} (${requests} requests)`);
    for (const difference of conducted.differences) console.log(`       ${difference}`);
    failed ||= conducted.differences.length > 0;
  }
  const inOrder = SCENARIOS.flatMap(({ name }) =>
    scenarios[name] ? [[name, scenarios[name]] as const] : [],
  );
  write({
    client: client.name,
    version,
    recorded: new Date().toISOString().slice(0, 10),
    scenarios: Object.fromEntries(inOrder),
  });
  return failed;
}

async function renewOutcomes(stack: Stack): Promise<false> {
  for (const name of listFixtures()) {
    const fixture = readFixture(name);
    const scenarios: Record<string, RecordedScenario> = {};
    for (const [scenario, recorded] of Object.entries(fixture.scenarios))
      scenarios[scenario] = await replayed(stack, recorded);
    write({ ...fixture, scenarios });
    console.log(`${name}: ${Object.keys(scenarios).length} scenarios`);
  }
  return false;
}

function write(fixture: Fixture): void {
  writeFileSync(fixtureFile(fixture.client), storedFixture(fixture));
}
