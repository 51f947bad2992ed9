/**
 * Requests of leases, settled together: a row a page. Those of the last minute, and those that wait for their node's
 * receipt, are known by id; others are looked for in the pages of their time.
 */
import type { Ending, RequestState } from '../domain/hold.ts';
import { timeOfId } from '../domain/ids.ts';
import { nanoUsd } from '../domain/money.ts';
import type { Price } from '../domain/pricing.ts';
import type { RequestRecord, WalletReceipt } from '../domain/wallet.ts';
import { type Row, toUsage } from './rows.ts';

/** A node that has lost its edge's reply sends its receipts again within moments. */
const KNOWN_MS = 60_000;
/** Looked for in pages that old, then: ids are made by clocks of isolates, and answers take their time. */
const SKEW_MS = 3_600_000 + KNOWN_MS;
const REQUEST_MS_MAX = 2 * 3_600_000;
/** Some twenty megabytes; what waits for its receipt for longer than others is no reason for more. */
const KNOWN_REQUESTS_MAX = 50_000;
/** How often it is looked for what need not be known any longer. */
const FORGET_EVERY_MS = 10_000;

/** A request in its page, by the columns of the table `request`. */
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
  /** part of the charge that granted credit paid */
  readonly granted_nano_usd: number;
  /** its part of the lease until then */
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

/** What the requests of a page have in common. */
interface GroupOf {
  readonly leaseId: string;
  readonly keyId: string;
  readonly modelId: string;
  readonly price: Price;
  /** null: none of them cost anything */
  readonly entrySeq: number | null;
}

export interface SettlementGroup extends GroupOf {
  /** when they were settled, in milliseconds; no two pages have the same */
  readonly atMs: number;
  readonly requests: readonly GroupedRequest[];
  proofs: string;
  /** receipts of its requests may be among the rows of `receipt`, which else need not be looked for */
  hasRows: boolean;
}

/** A request in a page. */
export interface GroupPosition {
  readonly page: SettlementGroup;
  readonly at: number;
}

type Proof = 'none' | 'came' | 'finished';
const PROOFS = { none: '0', came: 'p', finished: 'f' } as const satisfies Record<Proof, string>;

export class SettlementGroups {
  readonly #sql: SqlStorage;
  /** how long a receipt is waited for */
  readonly #graceMs: () => number;
  #known: Map<string, GroupPosition> | null = null;
  /** whose requests are known, oldest first */
  #pages: SettlementGroup[] = [];
  #forgotAtMs = 0;
  readonly #proved = new Set<SettlementGroup>();

  constructor(sql: SqlStorage, graceMs: () => number) {
    this.#sql = sql;
    this.#graceMs = graceMs;
  }

  insert(of: GroupOf, requests: readonly NewGroupedRequest[], nowMs: number): SettlementGroup {
    const last = this.#sql.exec<Row>('SELECT max(at_ms) AS at_ms FROM page').one().at_ms as number | null;
    const atMs = Math.max(nowMs, (last ?? 0) + 1);
    const proofs = PROOFS.none.repeat(requests.length);
    const page: SettlementGroup = {
      ...of,
      atMs,
      requests: requests.map(toGroupedRequest),
      proofs,
      hasRows: false,
    };
    const { leaseId, keyId, modelId, price, entrySeq } = page;
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
      JSON.stringify(page.requests),
      proofs,
    );
    this.#learn(nowMs);
    this.#remember(page);
    return page;
  }

  /** @throws Error when there is none of that time */
  page(atMs: number): SettlementGroup {
    const known = this.#pages.findLast((page) => page.atMs === atMs);
    return known ?? toGroup(this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms = ?', atMs).one());
  }

  /** @returns null: it was settled more than a minute ago, if at all */
  known(requestId: string, nowMs: number): GroupPosition | null {
    return this.#learn(nowMs).get(requestId) ?? null;
  }

  /** @returns null: no page has it, or it was more than a day ago */
  find(requestId: string, nowMs: number): GroupPosition | null {
    const known = this.known(requestId, nowMs);
    const madeAtMs = timeOfId(requestId);
    if (known || Number.isNaN(madeAtMs)) return known;
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
    const page = toGroup(row);
    return { page, at: page.requests.findIndex(({ request_id }) => request_id === requestId) };
  }

  /** Whether it was admitted so lately that, were it in a page, it would be known without a search. */
  isSurelyNew(requestId: string, nowMs: number): boolean {
    return this.known(requestId, nowMs) === null && Math.abs(nowMs - timeOfId(requestId)) < KNOWN_MS / 2;
  }

  /** The receipt of the node that was billed has come. Written by `flush`, once for all of a page. */
  prove({ page, at }: GroupPosition, outcome: WalletReceipt['outcome']): void {
    const proof = outcome === 'finished' ? PROOFS.finished : PROOFS.came;
    page.proofs = page.proofs.slice(0, at) + proof + page.proofs.slice(at + 1);
    this.#proved.add(page);
  }

  flush(): void {
    for (const { proofs, atMs } of this.#proved)
      this.#sql.exec('UPDATE page SET proofs = ? WHERE at_ms = ?', proofs, atMs);
    this.#proved.clear();
  }

  /** After a transaction that failed: what is remembered may not be what is stored. */
  forget(): void {
    this.#known = null;
    this.#pages = [];
    this.#proved.clear();
  }

  /**
   * Charged requests that were settled in a span of time and of which their node has sent no receipt, oldest first.
   * @returns whole pages until there are `limit` or more, and up to when it has been looked
   */
  unproved(
    { afterMs, toMs }: { afterMs: number; toMs: number },
    limit: number,
  ): { requests: RequestRecord[]; toMs: number } {
    const query = 'SELECT * FROM page WHERE at_ms > ? AND at_ms <= ? AND instr(proofs, ?) ORDER BY at_ms';
    const requests: RequestRecord[] = [];
    for (const row of this.#sql.exec<Row>(query, afterMs, toMs, PROOFS.none)) {
      const page = toGroup(row);
      const own = positionsOf(page).filter((place) => proofOf(place) === 'none' && isCharged(place));
      requests.push(...own.map(recordOf));
      if (requests.length >= limit) return { requests, toMs: page.atMs };
    }
    return { requests, toMs };
  }

  /** Settled after `afterMs`. */
  recent(afterMs: number): RequestRecord[] {
    const rows = this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms > ?', afterMs).toArray();
    return rows.flatMap((row) => positionsOf(toGroup(row)).map(recordOf));
  }

  /** When the first page after `afterMs` was settled, or null. */
  nextMs(afterMs: number): number | null {
    const query = 'SELECT min(at_ms) AS at_ms FROM page WHERE at_ms > ?';
    return this.#sql.exec<Row>(query, afterMs).one().at_ms as number | null;
  }

  trim(beforeMs: number): void {
    this.#sql.exec('DELETE FROM page WHERE at_ms < ?', beforeMs);
  }

  /** Requests are known by id from the first time that anybody asks, until nobody can ask any more. */
  #learn(nowMs: number): Map<string, GroupPosition> {
    if (this.#known === null) {
      this.#known = new Map();
      const fromMs = nowMs - this.#graceMs() - KNOWN_MS;
      const rows = this.#sql.exec<Row>('SELECT * FROM page WHERE at_ms > ? ORDER BY at_ms', fromMs);
      for (const row of rows) this.#remember(toGroup(row));
    }
    if (Math.abs(nowMs - this.#forgotAtMs) > FORGET_EVERY_MS) {
      this.#forgotAtMs = nowMs;
      const { over = [], kept = [] } = Object.groupBy(this.#pages, (page) =>
        this.#isOver(page, nowMs) ? 'over' : 'kept',
      );
      this.#pages = kept;
      for (const { requests } of over) for (const { request_id } of requests) this.#known.delete(request_id);
    }
    return this.#known;
  }

  #remember(page: SettlementGroup): void {
    this.#pages.push(page);
    for (const place of positionsOf(page)) this.#known!.set(page.requests[place.at]!.request_id, place);
  }

  #isOver(page: SettlementGroup, nowMs: number): boolean {
    const ageMs = nowMs - page.atMs;
    // what is forgotten here is searched for, should anybody ask
    if (ageMs > KNOWN_MS && this.#known!.size > KNOWN_REQUESTS_MAX) return true;
    const waits = positionsOf(page).some((place) => isCharged(place) && proofOf(place) === 'none');
    return ageMs > KNOWN_MS + (waits ? this.#graceMs() : 0);
  }
}

export function positionsOf(page: SettlementGroup): GroupPosition[] {
  return page.requests.map((_, at) => ({ page, at }));
}

export function recordOf({ page, at }: GroupPosition): RequestRecord {
  const row = page.requests[at]!;
  return {
    requestId: row.request_id,
    keyId: page.keyId,
    modelId: page.modelId,
    stream: row.stream === 1,
    state: row.state,
    ending: row.ending,
    nodeId: row.node_id,
    admittedAtMs: row.admitted_at_ms,
    endedAtMs: page.atMs,
    heldNanoUsd: nanoUsd(0),
    price: page.price,
    usage: toUsage(row),
    chargeNanoUsd: nanoUsd(row.charge_nano_usd),
    entrySeq: row.charge_nano_usd === 0 ? null : page.entrySeq,
    ttftMs: row.ttft_ms,
  };
}

/** Part of its charge that granted credit paid. */
export function grantedOf({ page, at }: GroupPosition) {
  return nanoUsd(page.requests[at]!.granted_nano_usd);
}

export function proofOf({ page, at }: GroupPosition): Proof {
  const proof = page.proofs[at];
  return proof === PROOFS.finished ? 'finished' : proof === PROOFS.came ? 'came' : 'none';
}

function isCharged({ page, at }: GroupPosition): boolean {
  return page.requests[at]!.charge_nano_usd > 0;
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
