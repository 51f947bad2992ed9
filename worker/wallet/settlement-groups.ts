/**
 * Settlement groups: requests of a lease that were settled together, one row of the table `page` a group. Requests of the
 * last minute, and those that wait for their node's receipt, are indexed in memory by id; others are searched for in
 * the groups of their time.
 */
import type { Ending, RequestState } from '../domain/hold.ts';
import { timeOfId } from '../domain/ids.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Price } from '../domain/pricing.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type Row, toUsage } from './rows.ts';

/** How long a settled request stays indexed: a node that missed the edge's reply sends its receipts again within moments. */
const INDEXED_MS = 60_000;
/** Search window around an id's timestamp: isolate clocks may differ by an hour, and a request may run for two. */
const SKEW_MS = 3_600_000 + INDEXED_MS;
const REQUEST_MS_MAX = 2 * 3_600_000;
/** Most requests in the index, some 20 MB. Beyond it, even requests that still wait for a receipt are dropped. */
const INDEXED_REQUESTS_MAX = 50_000;
/** How often the index is cleared of requests that need not be in it any more. */
const EVICT_EVERY_MS = 10_000;

/** A request as its group stores it, with the column names of the table `request`. */
interface GroupedRequest {
  readonly request_id: string;
  readonly stream: 0 | 1;
  readonly state: RequestState;
  readonly ending: Ending;
  readonly node_id: string | null;
  readonly admitted_at_ms: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly reasoning_tokens: number;
  readonly charge_nano_usd: number;
  /** The part of the charge that granted credit paid. */
  readonly granted_nano_usd: number;
  /** Its hold, which was drawn from the lease. */
  readonly drawn_nano_usd: number;
  readonly ttft_ms: number | null;
}

type NewGroupedRequest = Omit<
  RequestRecord,
  'keyId' | 'modelId' | 'price' | 'endedAtMs' | 'entrySeq' | 'ending'
> & {
  readonly ending: Ending;
  readonly grantedNanoUsd: number;
  readonly drawnNanoUsd: number;
};

/** The facts that all requests of a group share. */
interface GroupTerms {
  readonly leaseId: string;
  readonly keyId: string;
  readonly modelId: string;
  readonly price: Price;
  /** null: none of them cost anything */
  readonly entrySeq: number | null;
}

export interface SettlementGroup extends GroupTerms {
  /** When the group was settled, and its key: no two groups of a Wallet have the same time. */
  readonly atMs: number;
  readonly requests: readonly GroupedRequest[];
  /** One character a request; see PROOFS. */
  proofs: string;
  /** Whether the table `receipt` may hold rows of its requests. When false, that table need not be searched. */
  hasRows: boolean;
}

/** One request of a group. */
export interface GroupPosition {
  readonly group: SettlementGroup;
  readonly index: number;
}

/** Whether the billed node's receipt has come, and whether it says that the whole answer was given. */
type Proof = 'none' | 'came' | 'finished';
const PROOFS = { none: '0', came: 'p', finished: 'f' } as const satisfies Record<Proof, string>;

export class SettlementGroups {
  readonly #sql: SqlStorage;
  /** How long a charge waits for its receipt. */
  readonly #graceMs: () => number;
  /** The index by request id; null until it is first needed, and after a failed transaction. */
  #index: Map<string, GroupPosition> | null = null;
  /** The groups whose requests are indexed, oldest first. */
  #indexedGroups: SettlementGroup[] = [];
  #evictedAtMs = 0;
  /** Groups whose `proofs` have changed and are not stored yet. */
  readonly #changed = new Set<SettlementGroup>();

  constructor(sql: SqlStorage, graceMs: () => number) {
    this.#sql = sql;
    this.#graceMs = graceMs;
  }

  insert(terms: GroupTerms, requests: readonly NewGroupedRequest[], nowMs: number): SettlementGroup {
    const last = this.#sql.exec<Row>('SELECT max(at_ms) AS at_ms FROM page').one().at_ms as number | null;
    const atMs = Math.max(nowMs, (last ?? 0) + 1);
    const proofs = PROOFS.none.repeat(requests.length);
    const group: SettlementGroup = {
      ...terms,
      atMs,
      requests: requests.map(toGroupedRequest),
      proofs,
      hasRows: false,
    };
    const { leaseId, keyId, modelId, price, entrySeq } = group;
    const ids = requests.map(({ requestId }) => requestId).sort();
    this.#sql.exec(
      'INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      atMs,
      ids[0]!,
      ids.at(-1)!,
      leaseId,
      keyId,
      modelId,
      price.id,
      price.cacheHitNanoUsd,
      price.cacheMissNanoUsd,
      price.outputNanoUsd,
      entrySeq,
      JSON.stringify(group.requests),
      proofs,
    );
    this.#readIndex(nowMs);
    this.#add(group);
    return group;
  }

  /** The group that was settled at that time. @throws Error when there is none */
  at(atMs: number): SettlementGroup {
    const indexed = this.#indexedGroups.findLast((group) => group.atMs === atMs);
    return indexed ?? toGroup(this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms = ?', atMs).one());
  }

  /** Looks a request up in the index only. @returns null: it was settled more than a minute ago, if at all */
  indexed(requestId: string, nowMs: number): GroupPosition | null {
    return this.#readIndex(nowMs).get(requestId) ?? null;
  }

  /** Looks a request up in the index, then in the table. @returns null: no group has it, or its group is over a day old */
  find(requestId: string, nowMs: number): GroupPosition | null {
    const indexed = this.indexed(requestId, nowMs);
    const madeAtMs = timeOfId(requestId);
    if (indexed || Number.isNaN(madeAtMs)) return indexed;
    const [row] = this.#sql
      .exec<Row>(
        `SELECT * FROM page WHERE at_ms BETWEEN ?1 AND ?2 AND first_request_id <= ?3 AND last_request_id >= ?3
           AND instr(requests, ?3) LIMIT 1`,
        madeAtMs - SKEW_MS,
        madeAtMs + SKEW_MS + REQUEST_MS_MAX,
        requestId,
      )
      .toArray();
    if (!row) return null;
    const group = toGroup(row);
    return { group, index: group.requests.findIndex(({ request_id }) => request_id === requestId) };
  }

  /**
   * Whether a request was admitted so recently that the index would have it if it were in a group, so no search is
   * needed.
   */
  isSurelyNew(requestId: string, nowMs: number): boolean {
    return this.indexed(requestId, nowMs) === null && Math.abs(nowMs - timeOfId(requestId)) < INDEXED_MS / 2;
  }

  /** Marks that the billed node's receipt has come. `flush` stores the marks, one write a group. */
  prove({ group, index }: GroupPosition, outcome: WalletReceipt['outcome']): void {
    const proof = outcome === 'finished' ? PROOFS.finished : PROOFS.came;
    group.proofs = group.proofs.slice(0, index) + proof + group.proofs.slice(index + 1);
    this.#changed.add(group);
  }

  flush(): void {
    for (const { proofs, atMs } of this.#changed)
      this.#sql.exec('UPDATE page SET proofs = ? WHERE at_ms = ?', proofs, atMs);
    this.#changed.clear();
  }

  /** Drops the index after a failed transaction, because it may differ from what is stored. */
  dropIndex(): void {
    this.#index = null;
    this.#indexedGroups = [];
    this.#changed.clear();
  }

  /**
   * Charged requests that were settled in a span of time and whose node has sent no receipt, oldest first.
   * @returns the requests of whole groups until there are `limit` or more, and the time up to which they are complete
   */
  unproved(
    { afterMs, toMs }: { afterMs: number; toMs: number },
    limit: number,
  ): { requests: RequestRecord[]; toMs: number } {
    const query = 'SELECT * FROM page WHERE at_ms > ? AND at_ms <= ? AND instr(proofs, ?) ORDER BY at_ms';
    const requests: RequestRecord[] = [];
    for (const row of this.#sql.exec<Row>(query, afterMs, toMs, PROOFS.none)) {
      const group = toGroup(row);
      const unproved = positionsOf(group).filter(isUnproved);
      requests.push(...unproved.map(recordOf));
      if (requests.length >= limit) return { requests, toMs: group.atMs };
    }
    return { requests, toMs };
  }

  /** Requests that were settled after `afterMs`. */
  recent(afterMs: number): RequestRecord[] {
    const rows = this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms > ?', afterMs).toArray();
    return rows.flatMap((row) => positionsOf(toGroup(row)).map(recordOf));
  }

  /** When the first group after `afterMs` was settled; null: none was. */
  nextMs(afterMs: number): number | null {
    const query = 'SELECT min(at_ms) AS at_ms FROM page WHERE at_ms > ?';
    return this.#sql.exec<Row>(query, afterMs).one().at_ms as number | null;
  }

  trim(beforeMs: number): void {
    this.#sql.exec('DELETE FROM page WHERE at_ms < ?', beforeMs);
  }

  /** The index, read from the table on first use. Entries leave it once no receipt is expected for them. */
  #readIndex(nowMs: number): Map<string, GroupPosition> {
    if (this.#index === null) {
      this.#index = new Map();
      const fromMs = nowMs - this.#graceMs() - INDEXED_MS;
      const rows = this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms > ? ORDER BY at_ms', fromMs);
      for (const row of rows) this.#add(toGroup(row));
    }
    if (Math.abs(nowMs - this.#evictedAtMs) > EVICT_EVERY_MS) {
      this.#evictedAtMs = nowMs;
      const { evicted = [], kept = [] } = Object.groupBy(this.#indexedGroups, (group) =>
        this.#isEvictable(group, nowMs) ? 'evicted' : 'kept',
      );
      this.#indexedGroups = kept;
      for (const { requests } of evicted)
        for (const { request_id } of requests) this.#index.delete(request_id);
    }
    return this.#index;
  }

  #add(group: SettlementGroup): void {
    this.#indexedGroups.push(group);
    for (const position of positionsOf(group))
      this.#index!.set(group.requests[position.index]!.request_id, position);
  }

  #isEvictable(group: SettlementGroup, nowMs: number): boolean {
    const ageMs = nowMs - group.atMs;
    // A request that is not indexed can still be found by a search of the table.
    if (ageMs > INDEXED_MS && this.#index!.size > INDEXED_REQUESTS_MAX) return true;
    const waits = positionsOf(group).some(isUnproved);
    return ageMs > INDEXED_MS + (waits ? this.#graceMs() : 0);
  }
}

export function positionsOf(group: SettlementGroup): GroupPosition[] {
  return group.requests.map((_, index) => ({ group, index }));
}

/** The request as the rest of the Wallet knows it: its hold is over, so nothing is held. */
export function recordOf({ group, index }: GroupPosition): RequestRecord {
  const row = group.requests[index]!;
  return {
    requestId: row.request_id,
    keyId: group.keyId,
    modelId: group.modelId,
    stream: row.stream === 1,
    state: row.state,
    ending: row.ending,
    nodeId: row.node_id,
    admittedAtMs: row.admitted_at_ms,
    endedAtMs: group.atMs,
    heldNanoUsd: nanoUsd(0),
    price: group.price,
    usage: toUsage(row),
    chargeNanoUsd: nanoUsd(row.charge_nano_usd),
    entrySeq: row.charge_nano_usd === 0 ? null : group.entrySeq,
    ttftMs: row.ttft_ms,
  };
}

/** The part of a request's charge that granted credit paid. */
export function grantedOf({ group, index }: GroupPosition): NanoUsd {
  return nanoUsd(group.requests[index]!.granted_nano_usd);
}

export function proofOf({ group, index }: GroupPosition): Proof {
  const proof = group.proofs[index];
  return proof === PROOFS.finished ? 'finished' : proof === PROOFS.came ? 'came' : 'none';
}

/** Whether a request was charged and its node has sent no receipt. */
function isUnproved(position: GroupPosition): boolean {
  const { group, index } = position;
  return group.requests[index]!.charge_nano_usd > 0 && proofOf(position) === 'none';
}

function toGroupedRequest(request: NewGroupedRequest): GroupedRequest {
  const { usage } = request;
  return {
    request_id: request.requestId,
    stream: request.stream ? 1 : 0,
    state: request.state,
    ending: request.ending,
    node_id: request.nodeId,
    admitted_at_ms: request.admittedAtMs,
    prompt_tokens: usage.promptTokens,
    cached_tokens: usage.cachedTokens,
    completion_tokens: usage.completionTokens,
    reasoning_tokens: usage.reasoningTokens,
    charge_nano_usd: request.chargeNanoUsd,
    granted_nano_usd: request.grantedNanoUsd,
    drawn_nano_usd: request.drawnNanoUsd,
    ttft_ms: request.ttftMs,
  };
}

function toGroup(row: Row): SettlementGroup {
  return {
    atMs: row.at_ms as number,
    leaseId: row.lease_id as string,
    keyId: row.key_id as string,
    modelId: row.model_id as string,
    price: {
      id: row.price_id as string,
      cacheHitNanoUsd: row.cache_hit_nano_usd as number,
      cacheMissNanoUsd: row.cache_miss_nano_usd as number,
      outputNanoUsd: row.output_nano_usd as number,
    },
    entrySeq: row.entry_seq as number | null,
    requests: JSON.parse(row.requests as string) as GroupedRequest[],
    proofs: row.proofs as string,
    hasRows: true,
  };
}
