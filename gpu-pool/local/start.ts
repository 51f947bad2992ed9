/** `npm start`: runs a whole Tollgate on this machine, until Ctrl-C. */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ALL_NODES } from './local-nodes.ts';
import { type RunningProcess, stopAll } from './process.ts';
import { type Stack, startStack } from './stack.ts';

/** Long enough to see that the other processes work without the one that ended. */
const RESTART_AFTER_MS = 5_000;

const { values } = parseArgs({ options: { fresh: { type: 'boolean', default: false } } });
const stateDir = resolve(process.env.TOLLGATE_STATE ?? '.tollgate');

let stack: Stack | null = null;
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, async () => {
    if (stopping) return;
    stopping = true;
    console.log('\nStopping…');
    await stack?.stop();
    await stopAll();
    process.exit(0);
  });
}

try {
  if (values.fresh) rmSync(stateDir, { recursive: true, force: true });
  stack = await startStack({
    probes: true,
    plan: ALL_NODES,
    stateDir,
    port: port('TOLLGATE_PORT', 8787),
    nodePort: port('TOLLGATE_NODE_PORT', 8791),
    speed: Number(process.env.TOLLGATE_ENGINE_SPEED ?? 5),
    onStep: (step) => console.log(`· ${step}…`),
  });
  const { baseUrl, apiKey, portal, operator, nodes } = stack.dev;
  console.log(`
Tollgate is running with ${nodes.length} nodes, for DeepSeek-R1, DeepSeek-V3 and DeepSeek-R1-Zero.

  Ask DeepSeek-R1:

    curl ${baseUrl}/v1/chat/completions \\
      -H "Authorization: Bearer ${apiKey}" \\
      -H "Content-Type: application/json" \\
      -d '{"model": "deepseek-r1-0528", "stream": true, "messages": [{"role": "user", "content": "How many primes are below 100?"}]}'

  API key    ${apiKey}
  Portal     ${baseUrl}/sign-in   ${portal.email}   ${portal.password}
  Operator   ${baseUrl}/sign-in   ${operator.email}   ${operator.password}
  Mailbox    ${baseUrl}/mailbox   receives all e-mails

These credentials are also in ${join(stateDir, 'dev.json')}, next to the logs. Answers come from emulated engines.
Press Ctrl-C to stop. \`npm start -- --fresh\` starts with an empty database.`);

  const { edge, restartEdge } = stack;
  void keepRunning('the edge', edge, restartEdge, () => stack!.edge);
  for (const node of stack.nodes) {
    void keepRunning(`the engine of ${node.name}`, node.engine, node.restartEngine, () => node.engine);
    void keepRunning(`the agent of ${node.name}`, node.agent, node.restartAgent, () => node.agent);
  }
} catch (error) {
  // After Ctrl-C during the start, whatever was starting fails; that is expected and not reported.
  if (stopping) await new Promise(() => undefined);
  console.error(`\n${(error as Error).message}`);
  process.exit(1);
}

/** Starts a process again whenever it ends, as a service manager would on a real host. */
async function keepRunning(
  name: string,
  first: RunningProcess,
  restart: () => Promise<void>,
  current: () => RunningProcess,
): Promise<void> {
  for (let running = first; ; running = current()) {
    await running.exited;
    if (stopping) return;
    // Processes that it had started itself may live on and hold its port.
    running.signal('SIGKILL');
    console.log(`${name} has exited; restarting it in ${RESTART_AFTER_MS / 1000} s.`);
    await setTimeout(RESTART_AFTER_MS);
    if (stopping) return;
    await restart().then(
      () => console.log(`${name} is running again.`),
      (error: Error) => console.error(`${name} could not be started: ${error.message}`),
    );
  }
}

function port(setting: string, fallback: number): number {
  const value = Number(process.env[setting] ?? fallback);
  if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw new Error(`${setting} must be a port number, not "${process.env[setting]}".`);
}
