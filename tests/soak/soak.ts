/**
 * A soak: customers ask, processes are killed, hung and made to lie, and in the end all the records must agree.
 * A seed fixes the plan of requests and faults and which fault strikes before which request. Real processes keep
 * their own time, so what a fault meets is not the same twice.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { operatorApi, type Stack, startStack } from '../../gpu-pool/local/stack.ts';
import { type BookNode, type Books, openBooks, sum, worldOf } from '../e2e/books.ts';
import { JournalKeeper, type NodeJournal } from '../e2e/journals.ts';
import { freePorts } from '../e2e/ports.ts';
import { race, raceFaults } from '../e2e/race.ts';
import { tailsBy } from '../e2e/tails.ts';
import { brokenLaws, type Violation, type World } from '../laws/laws.ts';
import type { ReceiptHourRow } from '../laws/world.ts';
import { type Household, openAccounts } from './customers.ts';
import { faultPlan } from './fault-plan.ts';
import { probe } from './probe.ts';
import { settled } from './settle.ts';
import { Striker } from './strike.ts';
import { MARK, type Testimony, Traffic } from './traffic.ts';

export interface SoakOptions {
  readonly seed: number;
  readonly stateDir: string;
  /** ends after so many requests, or … */
  readonly requests?: number;
  /** … after so much time */
  readonly forMs?: number;
  /** at most so many kills */
  readonly kills?: number;
  /** on average between two faults */
  readonly everyRequests?: number;
  readonly clients?: number;
  /** in the end so many requests race for one cent */
  readonly racers?: number;
  /** of `bundle`; made anew when left out */
  readonly script?: string;
  /** of the engines; 1 is real time */
  readonly speed?: number;
  readonly onProgress?: (line: string) => void;
}

export interface SoakResult {
  readonly seed: number;
  readonly tookMs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly testimonies: readonly Testimony[];
  readonly books: Books;
  readonly journals: ReadonlyMap<string, NodeJournal>;
  readonly world: World;
  readonly violations: readonly Violation[];
  /** what the audit said, when the books did not agree for it */
  readonly audit: string | null;
  /** what never came to rest */
  readonly unsettled: readonly string[];
}

/** A deadline of each kind, short enough to be met often in a soak, the lease longer than the wait for a first token. */
const SETTINGS = {
  TRIAL_GRANT_NANO_USD: '0',
  FIRST_TOKEN_DEADLINE_MS: '5000',
  IDLE_DEADLINE_MS: '6000',
  HOLD_LEASE_MS: '8000',
  RECEIPT_GRACE_MS: '20000',
};
/** L3: lease, grace, an edge that was down, and alarms that were late. */
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
  const nodes = await bookNodes(stack);
  const journals = new JournalKeeper(stateDir, nodes);
  try {
    const household = await openAccounts(stack);
    const traffic = new Traffic({ url: stack.dev.baseUrl, seed, household });
    const striker = new Striker({ stack, nodes, revoke: () => household.revoke() });
    const plan = faultPlan(seed, { ...options, nodes: nodes.length });
    let next = plan.next().value!;
    const beganMs = Date.now();
    const more = () =>
      traffic.begun < (options.requests ?? Number.POSITIVE_INFINITY) &&
      Date.now() - beganMs < (options.forMs ?? Number.POSITIVE_INFINITY);
    const timer = setInterval(() => onProgress(progress(traffic, striker, beganMs)), PROGRESS_EVERY_MS);
    const onNext = (begun: number) => {
      for (; next.atRequest <= begun; next = plan.next().value!) striker.strike(next);
    };
    await traffic.run(clients, { more, onNext }).finally(() => clearInterval(timer));

    onProgress('Faults off; waiting until everything is settled');
    await striker.calm();
    const probes = await probe({ url: stack.dev.baseUrl, key: household.customers.rich[0]!.apiKey });
    const raced = await cent(stack, household, options.racers ?? 0);
    const unsettled = await settled({ stateDir, nodes: stack.nodes, journals }, SETTLE_MS);

    const books = openBooks(stateDir, nodes);
    const read = journals.read();
    const tails = tailsBy({
      hardware: new Map(stack.nodes.map(({ name, hardware }) => [name, hardware])),
      speed,
      journals: read,
      outages: striker.outages,
      slow: new Set(traffic.testimonies.filter(({ slow }) => slow).map(({ requestId }) => requestId ?? '')),
    });
    const world: World = {
      ...worldOf(books, nodes, tails),
      clients: traffic.testimonies,
      dispatches: [...read].flatMap(([nodeId, { opened }]) =>
        [...opened.values()].map((line) => ({
          requestId: line.request_id,
          accountId: line.account_id,
          nodeId,
          atMs: line.started_at_ms,
        })),
      ),
      revocations: household.revocations,
      probes,
      observed: [...traffic.observed, ...receiptsArrived(read, books), ...(raced?.findings(books) ?? [])],
      logs: logLines(stateDir, nodes),
      secrets: [...new Set(traffic.testimonies.map(({ accountId }) => accountId))].map((accountId) => ({
        accountId,
        text: MARK + accountId,
      })),
      bounds: { settleMs: SETTLE_MS },
    };
    const audit = auditBooks(stack.edge.url, stateDir);
    return {
      ...{ seed, books, world, audit, unsettled, journals: read },
      tookMs: Date.now() - startedMs,
      faults: striker.struck,
      testimonies: traffic.testimonies,
      violations: brokenLaws(world),
    };
  } finally {
    journals.close();
    await stack.stop();
  }
}

const CENT_NANO_USD = 10_000_000;

/** Requests race for one cent. What came of it is looked at when everything is settled. */
async function cent(stack: Stack, household: Household, requests: number) {
  if (requests === 0) return null;
  const { accountId, apiKey } = await household.open('racer');
  await household.grant(accountId, 'one-cent', '0.01');
  const answers = await race({ url: stack.dev.baseUrl, apiKey, requests, width: 100 });
  return {
    findings: ({ accounts }: Books): Violation[] => {
      const account = accounts.find((each) => each.accountId === accountId)!;
      return raceFaults(answers, account, CENT_NANO_USD).map((what) => ({
        law: 'L2',
        about: 'the race',
        what,
      }));
    },
  };
}

async function bookNodes(stack: Stack): Promise<BookNode[]> {
  const { nodes } = await operatorApi<{ nodes: BookNode[] }>(stack.edge, 'GET', '/nodes');
  return stack.nodes.map(({ name }) => nodes.find((node) => node.name === name)!);
}

/** An hour's receipts of a node, with what they count. */
type CountedHour = ReceiptHourRow & { readonly prompt_tokens: number; readonly completion_tokens: number };

/** What the journals say and what came to D1 must be the same receipts, to the token: those that were billed as they say are sums. */
function receiptsArrived(journals: ReadonlyMap<string, NodeJournal>, { d1 }: Books): Violation[] {
  const arrived = new Map((d1.node_receipt ?? []).map((row) => [`${row.node_id} ${row.request_id}`, row]));
  return [...journals].flatMap(([nodeId, journal]): Violation[] => {
    const receipts = [
      ...new Map([...journal.receipts.values()].map((each) => [each.request_id, each])).values(),
    ];
    const hours = ((d1.receipt_hour ?? []) as readonly CountedHour[]).filter((row) => row.node_id === nodeId);
    const wrote = [
      receipts.length,
      sum(receipts, ({ usage }) => usage.prompt_tokens),
      sum(receipts, ({ usage }) => usage.completion_tokens),
    ].join(', ');
    const has = [
      sum(hours, (row) => row.receipts),
      sum(hours, (row) => row.prompt_tokens),
      sum(hours, (row) => row.completion_tokens),
    ].join(', ');
    const differ = receipts.flatMap(({ request_id, usage }): Violation[] => {
      const row = arrived.get(`${nodeId} ${request_id}`);
      if (!row) return [];
      const [said, kept] = [
        `${usage.prompt_tokens}+${usage.completion_tokens}`,
        `${row.prompt_tokens}+${row.completion_tokens}`,
      ];
      if (said === kept) return [];
      return [{ law: 'L5', about: request_id, what: `${nodeId} wrote down ${said} tokens, D1 has ${kept}` }];
    });
    if (wrote === has) return differ;
    const what = `wrote down receipts, prompt and completion tokens: ${wrote}; D1 has ${has}`;
    return [{ law: 'L5', about: nodeId, what }, ...differ];
  });
}

function logLines(stateDir: string, nodes: readonly BookNode[]): string[] {
  const files = ['edge.log', ...nodes.flatMap(({ name }) => [`${name}/agent.log`, `${name}/engine.log`])];
  return files.flatMap((file) => readFileSync(join(stateDir, file), 'utf8').split('\n'));
}

/** `npm run audit`, as an operator would run it. */
function auditBooks(edgeUrl: string, stateDir: string): string | null {
  const script = fileURLToPath(new URL('../../gpu-pool/local/audit.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--edge', edgeUrl], {
    env: { ...process.env, TOLLGATE_STATE: stateDir },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return status === 0 ? null : `${stdout}${stderr}`.trim();
}

function progress(traffic: Traffic, striker: Striker, beganMs: number): string {
  const seconds = Math.round((Date.now() - beganMs) / 1_000);
  const tokens = sum(traffic.testimonies, ({ deliveredTokens }) => deliveredTokens ?? 0);
  const times = (which: (name: string) => boolean) =>
    sum([...striker.struck], ([name, n]) => (which(name) ? n : 0));
  const kills = [...striker.struck].filter(([name]) => name.startsWith('kill'));
  const faults = `${times(() => true)} faults (${kills.map(([name, n]) => `${name} ${n}`).join(', ')})`;
  return `${seconds} s: ${traffic.begun} requests, ${traffic.open} open, ${tokens} tokens delivered, ${faults}`;
}
