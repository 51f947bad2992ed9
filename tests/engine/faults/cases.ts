/** The faults: each interrupts a stream that a node serves, asks for more meanwhile, and brings the node back. */
import { eventually } from '../conformance/subject.ts';
import type { Client, Reading } from './client.ts';
import type { Find } from './finding.ts';
import {
  arrived,
  healthChange,
  type Placed,
  placeOf,
  seconds,
  servesAgain,
  settledRow,
  tokensOf,
} from './observe.ts';
import type { Pair, PairNode } from './pair.ts';

export type Case = (pair: Pair, client: Client, find: Find) => Promise<void>;

/** So long that no fault comes after the end of its stream. */
const LONG_TOKENS = 4_000;
/** A drained or stopped node's answer is to arrive whole, on two busy cores within minutes. */
const WHOLE_TOKENS = 1_000;
/** A stream is hit when this much of it has arrived. */
const BEGUN_EVENTS = 25;
/** How many requests come while the node is away. */
const MEANWHILE = 4;
/** A hung node must be out within this time (docs/routing.md), and one that died is out sooner. */
const OUT_MS_MAX = 10_000;
const OUT = ['node.silent', 'node.engine_down', 'node.ejected'];
/** For health to be noted, and for a node to be back, on a busy machine. */
const PATIENCE_MS = 60_000;
/** An engine notices at once that the reader of a stream has left. */
const STOPPED_MS_MAX = 4_000;

interface Hit extends Placed {
  readonly reading: Reading;
  readonly atMs: number;
}

/** Begins a stream, waits until some of it has arrived, and hits the node that serves it. */
async function hit(
  pair: Pair,
  client: Client,
  { tokens, fault }: { tokens: number; fault: (node: PairNode) => void },
): Promise<Hit> {
  const reading = await client.long(tokens);
  const placed = await placeOf(pair, reading.requestId);
  await arrived(reading, BEGUN_EVENTS);
  fault(placed.node);
  return { reading, ...placed, atMs: Date.now() };
}

/** A stream whose node failed ends with an error, and costs what arrived of it. */
async function findBrokenOff(pair: Pair, { reading, other }: Hit, find: Find): Promise<void> {
  const ended = await reading.ended;
  find('the client gets an error event', 'node_failed', ended.end);
  const row = await settledRow(pair, ended.requestId);
  find('the tokens that arrived are charged', await tokensOf(other, ended.text), row?.completion_tokens);
  find('the request ends as', 'posted, node_failed', `${row?.state}, ${row?.ending}`);
}

/** Requests that come while a node is away are all answered by the other one. */
async function findServedByOther(
  pair: Pair,
  client: Client,
  { other }: Placed,
  { find, what }: { find: Find; what: string },
): Promise<void> {
  const answers = await Promise.all(Array.from({ length: MEANWHILE }, () => client.short()));
  const whole = answers.filter(({ end }) => end === '[DONE]');
  const places = await Promise.all(whole.map(({ requestId }) => placeOf(pair, requestId)));
  const byOther = places.filter(({ node }) => node === other).length;
  find(
    what,
    `${MEANWHILE} whole, ${MEANWHILE} by the other`,
    `${whole.length} whole, ${byOther} by the other`,
  );
}

async function findOut(pair: Pair, { node, atMs }: Hit, find: Find): Promise<void> {
  const outMs = await healthChange(pair, node, { actions: OUT, sinceMs: atMs, withinMs: PATIENCE_MS });
  const holds = outMs !== null && outMs <= OUT_MS_MAX;
  find('the node is out', `within ${seconds(OUT_MS_MAX)}`, seconds(outMs), holds);
}

async function findBack(
  pair: Pair,
  client: Client,
  { node, sinceMs, find }: { node: PairNode; sinceMs: number; find: Find },
): Promise<void> {
  const backMs = await servesAgain(pair, client, { node, sinceMs });
  find('the node serves again', 'some time', seconds(backMs), backMs !== null);
}

const agentKilled: Case = async (pair, client, find) => {
  const struck = await hit(pair, client, {
    tokens: LONG_TOKENS,
    fault: ({ agent }) => agent.signal('SIGKILL'),
  });
  const { node, reading } = struck;
  const idleMs = await node.direct.idleWithin(PATIENCE_MS);
  const holds = idleMs !== null && idleMs <= STOPPED_MS_MAX;
  find('its engine stops', `within ${seconds(STOPPED_MS_MAX)}`, seconds(idleMs), holds);
  await findServedByOther(pair, client, struck, { find, what: 'requests at once after it' });
  await findBrokenOff(pair, struck, find);
  await findOut(pair, struck, find);
  const sinceMs = Date.now();
  await node.restartAgent();
  const outcome = () =>
    [...pair.journals.read().get(node.id)!.receipts.values()].find(
      ({ request_id }) => request_id === reading.requestId,
    )?.outcome;
  await eventually(() => outcome() !== undefined, PATIENCE_MS);
  find('the receipt says, after its restart', 'lost', outcome());
  await findBack(pair, client, { node, sinceMs, find });
};

const agentDrained: Case = async (pair, client, find) => {
  const struck = await hit(pair, client, {
    tokens: WHOLE_TOKENS,
    fault: ({ agent }) => agent.signal('SIGTERM'),
  });
  const { node, reading } = struck;
  await findServedByOther(pair, client, struck, { find, what: 'requests while it drains' });
  const ended = await reading.ended;
  find('the answer ends as', '[DONE], length', `${ended.end}, ${ended.finishReason}`);
  find('all of the answer arrives', WHOLE_TOKENS, await tokensOf(node, ended.text));
  const row = await settledRow(pair, ended.requestId);
  find('its tokens are charged', WHOLE_TOKENS, row?.completion_tokens);
  find('the agent exits with', 0, await node.agent.exited);
  const sinceMs = Date.now();
  await node.restartAgent();
  await findBack(pair, client, { node, sinceMs, find });
};

const engineKilled: Case = async (pair, client, find) => {
  const struck = await hit(pair, client, {
    tokens: LONG_TOKENS,
    fault: ({ engine }) => engine.signalScheduler('SIGKILL'),
  });
  const { node } = struck;
  await findServedByOther(pair, client, struck, { find, what: 'requests at once after it' });
  await findBrokenOff(pair, struck, find);
  await findOut(pair, struck, find);
  await findServedByOther(pair, client, struck, { find, what: 'requests while it is out' });
  await node.engine.stop();
  await node.engine.start();
  await findBack(pair, client, { node, sinceMs: Date.now(), find });
};

const schedulerStopped: Case = async (pair, client, find) => {
  const struck = await hit(pair, client, {
    tokens: WHOLE_TOKENS,
    fault: ({ engine }) => engine.signalScheduler('SIGSTOP'),
  });
  const { node, other, reading } = struck;
  try {
    await findOut(pair, struck, find);
    await findServedByOther(pair, client, struck, { find, what: 'requests while it is out' });
  } finally {
    node.engine.signalScheduler('SIGCONT');
  }
  const sinceMs = Date.now();
  const upMs = await healthChange(pair, node, { actions: ['node.up'], sinceMs, withinMs: PATIENCE_MS });
  find('the Pool takes it back', 'some time', seconds(upMs), upMs !== null);
  await findBack(pair, client, { node, sinceMs, find });
  const ended = await reading.ended;
  find('the same stream goes on and ends as', '[DONE], length', `${ended.end}, ${ended.finishReason}`);
  find('all of the answer arrives', WHOLE_TOKENS, await tokensOf(other, ended.text));
  const row = await settledRow(pair, ended.requestId);
  find('its tokens are charged', WHOLE_TOKENS, row?.completion_tokens);
};

/** By name, in the order in which they happen. */
export const CASES: Readonly<Record<string, Case>> = {
  'agent killed': agentKilled,
  'agent drained': agentDrained,
  'engine killed': engineKilled,
  'scheduler stopped': schedulerStopped,
};
