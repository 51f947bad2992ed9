/**
 * A soak: customers send requests while processes are killed, stopped and made to report falsely; in the end all records
 * must agree. A seed fixes the requests, the faults and before which request each fault happens. Real processes have
 * their own timing, so a fault does not hit the same state twice.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { operatorApi, type Stack, startStack } from '../../gpu-pool/local/stack.ts';
import { JournalKeeper, type NodeJournal } from '../e2e/journals.ts';
import { freePorts } from '../e2e/ports.ts';
import { race, raceFaults } from '../e2e/race.ts';
import { type EnrolledNode, readStoredState, type StoredState, sum, worldOf } from '../e2e/stored-state.ts';
import { tailTokensBy } from '../e2e/tail-tokens.ts';
import { withFoldedEntries } from '../laws/folded-entries.ts';
import { brokenLaws, type Violation, type World } from '../laws/laws.ts';
import { type CustomerBase, openAccounts } from './customers.ts';
import { FaultInjector } from './fault-injector.ts';
import { faultPlan } from './fault-plan.ts';
import { probe } from './probe.ts';
import { receiptsArrived } from './receipts-arrived.ts';
import { settled } from './settle.ts';
import { MARK, type SoakObservation, Traffic } from './traffic.ts';

export interface SoakOptions {
  readonly seed: number;
  readonly stateDir: string;
  /** The soak ends after this many requests. */
  readonly requests?: number;
  /** The soak ends after this time. */
  readonly forMs?: number;
  /** The most processes that are killed. */
  readonly kills?: number;
  /** The average number of requests between two faults. */
  readonly everyRequests?: number;
  readonly clients?: number;
  /** How many requests compete for one cent at the end. */
  readonly racers?: number;
  /** The path of the bundled Worker; bundled at the start when absent. */
  readonly script?: string;
  /** The engines' speed; 1 is real time. */
  readonly speed?: number;
  readonly onProgress?: (line: string) => void;
}

export interface SoakResult {
  readonly seed: number;
  readonly tookMs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly observations: readonly SoakObservation[];
  readonly state: StoredState;
  readonly journals: ReadonlyMap<string, NodeJournal>;
  readonly world: World;
  readonly violations: readonly Violation[];
  /** The output of the audit when it found that the records disagree. */
  readonly audit: string | null;
  /** The things that were still pending at the end. */
  readonly unsettled: readonly string[];
}

/** Deadlines that are short enough to be met often in a soak. The hold's lease outlasts the wait for a first token. */
const SETTINGS = {
  TRIAL_GRANT_NANO_USD: '0',
  FIRST_TOKEN_DEADLINE_MS: '5000',
  IDLE_DEADLINE_MS: '6000',
  HOLD_LEASE_MS: '8000',
  RECEIPT_GRACE_MS: '20000',
  // Ledgers are folded while faults are injected, and the audit at the end proves them all the same.
  LEDGER_FOLD_AFTER_MS: '5000',
};
/** The bound of law L3: lease, grace, an edge that was down, and late alarms. */
const SETTLE_MS = 60_000;
const PROGRESS_EVERY_MS = 5_000;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { seed, stateDir, speed = 10, clients = 10, onProgress = () => undefined } = options;
  const startedMs = Date.now();
  const port = await freePorts(4);
  const stack = await startStack({
    ...{ stateDir, port, nodePort: port + 1, speed, script: options.script, settings: SETTINGS },
    onStep: onProgress,
  });
  const nodes = await enrolledNodes(stack);
  const journals = new JournalKeeper(stateDir, nodes);
  try {
    const customerBase = await openAccounts(stack);
    const traffic = new Traffic({ url: stack.dev.baseUrl, seed, customerBase });
    const injector = new FaultInjector({ stack, nodes, revoke: () => customerBase.revoke() });
    const plan = faultPlan(seed, { ...options, nodes: nodes.length });
    let next = plan.next().value!;
    const beganMs = Date.now();
    const more = () =>
      traffic.begun < (options.requests ?? Number.POSITIVE_INFINITY) &&
      Date.now() - beganMs < (options.forMs ?? Number.POSITIVE_INFINITY);
    const timer = setInterval(() => onProgress(progress(traffic, injector, beganMs)), PROGRESS_EVERY_MS);
    const onNext = (begun: number) => {
      for (; next.atRequest <= begun; next = plan.next().value!) injector.inject(next);
    };
    await traffic.run(clients, { more, onNext }).finally(() => clearInterval(timer));

    onProgress('Faults off; waiting until everything is settled');
    await injector.recover();
    const probes = await probe({ url: stack.dev.baseUrl, key: customerBase.customers.rich[0]!.apiKey });
    const raced = await raceForCent(stack, customerBase, options.racers ?? 0);
    const unsettled = await settled({ stateDir, nodes: stack.nodes, journals }, SETTLE_MS);

    const state = readStoredState(stateDir, nodes);
    const read = journals.read();
    const tailTokens = tailTokensBy({
      hardware: new Map(stack.nodes.map(({ name, hardware }) => [name, hardware])),
      speed,
      journals: read,
      outages: injector.outages,
      slow: new Set(traffic.observations.filter(({ slow }) => slow).map(({ requestId }) => requestId ?? '')),
    });
    const world: World = {
      ...worldOf(state, nodes, tailTokens),
      clients: traffic.observations,
      dispatches: [...read].flatMap(([nodeId, { opened }]) =>
        [...opened.values()].map((line) => ({
          requestId: line.request_id,
          accountId: line.account_id,
          nodeId,
          atMs: line.started_at_ms,
        })),
      ),
      revocations: customerBase.revocations,
      probes,
      observed: [...traffic.observed, ...receiptsArrived(read, state), ...(raced?.findings(state) ?? [])],
      logs: logLines(stateDir, nodes),
      secrets: [...new Set(traffic.observations.map(({ accountId }) => accountId))].map((accountId) => ({
        accountId,
        text: MARK + accountId,
      })),
      bounds: { settleMs: SETTLE_MS },
    };
    const audit = runAudit(stack.edge.url, stateDir);
    return {
      ...{ seed, state, world, audit, unsettled, journals: read },
      tookMs: Date.now() - startedMs,
      faults: injector.injected,
      observations: traffic.observations,
      violations: brokenLaws(world),
    };
  } finally {
    journals.close();
    await stack.stop();
  }
}

const CENT_NANO_USD = 10_000_000;

/** Lets requests compete for one cent. @returns a check for when everything is settled */
async function raceForCent(stack: Stack, customerBase: CustomerBase, requests: number) {
  if (requests === 0) return null;
  const { accountId, apiKey } = await customerBase.open('racer');
  await customerBase.grant(accountId, 'one-cent', '0.01');
  const answers = await race({ url: stack.dev.baseUrl, apiKey, requests, width: 100 });
  return {
    findings: (stored: StoredState): Violation[] => {
      const { accounts } = withFoldedEntries({ final: true, ...stored });
      const account = accounts.find((each) => each.accountId === accountId)!;
      return raceFaults(answers, account, CENT_NANO_USD).map((what) => ({
        law: 'L2',
        about: 'the race',
        what,
      }));
    },
  };
}

async function enrolledNodes(stack: Stack): Promise<EnrolledNode[]> {
  const { nodes } = await operatorApi<{ nodes: EnrolledNode[] }>(stack.edge, 'GET', '/nodes');
  return stack.nodes.map(({ name }) => nodes.find((node) => node.name === name)!);
}

function logLines(stateDir: string, nodes: readonly EnrolledNode[]): string[] {
  const files = ['edge.log', ...nodes.flatMap(({ name }) => [`${name}/agent.log`, `${name}/engine.log`])];
  return files.flatMap((file) => readFileSync(join(stateDir, file), 'utf8').split('\n'));
}

/** Runs `npm run audit` as an operator would. @returns its output when it found a fault, else null */
function runAudit(edgeUrl: string, stateDir: string): string | null {
  const script = fileURLToPath(new URL('../../gpu-pool/local/audit.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--edge', edgeUrl], {
    env: { ...process.env, TOLLGATE_STATE: stateDir },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return status === 0 ? null : `${stdout}${stderr}`.trim();
}

function progress(traffic: Traffic, injector: FaultInjector, beganMs: number): string {
  const seconds = Math.round((Date.now() - beganMs) / 1_000);
  const tokens = sum(traffic.observations, ({ deliveredTokens }) => deliveredTokens ?? 0);
  const times = (which: (name: string) => boolean) =>
    sum([...injector.injected], ([name, n]) => (which(name) ? n : 0));
  const kills = [...injector.injected].filter(([name]) => name.startsWith('kill'));
  const faults = `${times(() => true)} faults (${kills.map(([name, n]) => `${name} ${n}`).join(', ')})`;
  return `${seconds} s: ${traffic.begun} requests, ${traffic.open} open, ${tokens} tokens delivered, ${faults}`;
}
