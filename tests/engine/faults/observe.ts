/** Reads the records of a running pair: which node serves a request, when a node's health changed, what was settled. */
import { tokenizeText } from '../../../gpu-pool/agent/sglang/tokenize.ts';
import { operatorApi } from '../../../gpu-pool/local/stack.ts';
import { readLedgers } from '../../e2e/stored-state.ts';
import type { RequestRow } from '../../laws/world.ts';
import { eventually } from '../conformance/subject.ts';
import { MODEL_PATH } from '../folder.ts';
import type { Client, Reading } from './client.ts';
import type { Pair, PairNode } from './pair.ts';

/** A journal is read twice a second, and a busy machine reads late. */
const JOURNAL_MS_MAX = 30_000;
const SETTLED_MS_MAX = 60_000;
/** Requests are spread by load: two idle nodes both get some of these. */
const TRIES = 60;

export interface Placed {
  readonly node: PairNode;
  readonly other: PairNode;
}

/** The node that serves a request, by its journal. @throws Error when neither does */
export async function placeOf({ journals, nodes }: Pair, requestId: string | null): Promise<Placed> {
  const [first, second] = nodes;
  const serves = ({ id }: PairNode) =>
    [...journals.read().get(id)!.opened.values()].some(({ request_id }) => request_id === requestId);
  await eventually(() => serves(first) || serves(second), JOURNAL_MS_MAX);
  if (serves(first)) return { node: first, other: second };
  if (serves(second)) return { node: second, other: first };
  throw new Error(`Neither node has begun ${requestId}.`);
}

/** Waits until some of a stream has arrived. @throws Error when it has not */
export async function arrived(reading: Reading, events: number): Promise<void> {
  if (await eventually(() => reading.events >= events, 120_000)) return;
  throw new Error(`Only ${reading.events} of ${events} events arrived.`);
}

/**
 * How many tokens a text is, by an engine's own tokenizer. Each word of the made weights is a token that begins with a
 * blank; the first one's may have been taken away as a blank beside a tag.
 */
export async function tokensOf({ direct }: PairNode, text: string): Promise<number> {
  if (text.trim() === '') return 0;
  const ids = await tokenizeText(direct.target, ` ${text.trim()}`, MODEL_PATH);
  if (ids === null) throw new Error('The engine made no tokens of the text that arrived.');
  return ids.length;
}

interface AuditRow {
  readonly subject: string;
  readonly actor: string;
  readonly action: string;
  readonly at_ms: number;
}

/**
 * Waits until the Pool has noted one of these changes of a node's health.
 * @returns milliseconds from `sinceMs` to the change; null: it has not come
 */
export async function healthChange(
  { edge }: Pair,
  { id }: PairNode,
  wanted: { actions: readonly string[]; sinceMs: number; withinMs: number },
): Promise<number | null> {
  const { actions, sinceMs, withinMs } = wanted;
  let tookMs: number | null = null;
  await eventually(async () => {
    const { audit } = await operatorApi<{ audit: AuditRow[] }>(edge, 'GET', '/audit?limit=200');
    const changes = audit.filter(
      ({ subject, actor, action, at_ms }) =>
        subject === id && actor === 'pool' && actions.includes(action) && at_ms >= sinceMs,
    );
    tookMs = changes.length === 0 ? null : Math.min(...changes.map(({ at_ms }) => at_ms)) - sinceMs;
    return tookMs !== null;
  }, withinMs);
  return tookMs;
}

/** How a request was settled, by the Wallet; undefined: it is still held. */
export async function settledRow(
  { stateDir }: Pair,
  requestId: string | null,
): Promise<RequestRow | undefined> {
  let row: RequestRow | undefined;
  await eventually(() => {
    const rows = readLedgers(stateDir).accounts.flatMap(({ request = [] }) => request);
    row = rows.find((each) => each.request_id === requestId && each.state !== 'held');
    return row !== undefined;
  }, SETTLED_MS_MAX);
  return row;
}

/**
 * Asks until a node serves again.
 * @returns milliseconds from `sinceMs`; null: it got none of the requests, or one of them was not answered
 */
export async function servesAgain(
  pair: Pair,
  client: Client,
  { node, sinceMs }: { node: PairNode; sinceMs: number },
): Promise<number | null> {
  for (let asked = 0; asked < TRIES; asked++) {
    const { requestId, end } = await client.short();
    if (end !== '[DONE]') return null;
    if ((await placeOf(pair, requestId)).node === node) return Date.now() - sinceMs;
  }
  return null;
}

/** Milliseconds as seconds for people. */
export function seconds(ms: number | null): string {
  return ms === null ? 'not seen' : `${(ms / 1_000).toFixed(1)} s`;
}
