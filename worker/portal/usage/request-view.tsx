/** One request in full: facts, tokens, the arithmetic of its price, its ledger entry, and the nodes' receipts. */

import { database } from '../../db/client.ts';
import { findKey } from '../../db/keys.ts';
import { listNodes } from '../../db/nodes.ts';
import { findPrice } from '../../db/prices.ts';
import { receiptsOf, wasReceiptReportedMissing } from '../../db/requests.ts';
import { isId } from '../../domain/ids.ts';
import type { Entry } from '../../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { FoundRequest } from '../../wallet/find-request.ts';
import { findEntry } from '../../wallet/ledger-page.ts';
import { Callout } from '../components/callout.tsx';
import { Money } from '../components/money.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { EntryRequests } from './entry-requests.tsx';
import { RequestArithmetic } from './request-arithmetic.tsx';
import { RequestFacts } from './request-facts.tsx';
import { RequestReceipts } from './request-receipts.tsx';

/** @param props.forOperator shows nodes' names instead of ids; the ledger is linked only for the account's own people */
export async function requestView(props: {
  c: PortalContext;
  accountId: string;
  request: FoundRequest;
  forOperator: boolean;
}) {
  const { c, accountId, request, forOperator } = props;
  const { record, creditedBackNanoUsd, archived } = request;
  const { t, f } = words(c);
  const names = t.requests.one;
  const db = database(c.env);
  const which = { accountId, requestId: record.requestId };
  const { entrySeq } = record;
  const [key, price, entry, hotReceipts, nodes] = await Promise.all([
    findKey(db, { accountId, keyId: record.keyId }),
    findPrice(db, record.price.id),
    entrySeq === null ? null : findEntry(c.env, accountId, entrySeq),
    receiptsOf(db, which),
    forOperator ? listNodes(db) : [],
  ]);
  const receipts = [...hotReceipts, ...(archived?.receipts ?? [])];
  const isMatched = receipts.length === 0 && (await isReceiptMatched(c, accountId, request));
  const nodeNames = new Map(nodes.map((node) => [node.id, node.name]));
  const nodeName = (id: string | null) => (id === null ? names.noNode : (nodeNames.get(id) ?? id));
  const isRunning = record.state === 'held';
  return (
    <>
      <h1 class="mb-1">{names.title}</h1>
      <p class="mb-6 font-mono text-sm break-all">{record.requestId}</p>
      {isRunning && (
        <Callout tone="info">
          {names.runningNote(f.usdExact(record.heldNanoUsd).join(''))}{' '}
          <a class="link" href={c.req.path}>
            {names.refresh}
          </a>
        </Callout>
      )}
      <Figures c={c} request={request} />
      <RequestFacts
        c={c}
        record={record}
        keyName={key?.name ?? t.usage.removedKey}
        nodeName={nodeName(record.nodeId)}
        price={price}
      />
      <RequestArithmetic c={c} record={record} creditedBackNanoUsd={creditedBackNanoUsd} />
      {!isRunning && <InLedger c={c} entry={entry} isOwn={accountId === c.get('accountId')} />}
      <RequestReceipts c={c} receipts={receipts} isMatched={isMatched} nodeName={nodeName} />
      <p class="muted mt-8 text-sm">
        {names.json} <code class="break-all">GET /v1/generations/{record.requestId}</code>
      </p>
    </>
  );
}

/** The charge, the ending, and either the amounts of a retry or the times of the request. */
function Figures({ c, request }: { c: PortalContext; request: FoundRequest }) {
  const { record, creditedBackNanoUsd } = request;
  const { t, f } = words(c);
  const names = t.requests.one;
  const duration = (ms: number | null) => (ms === null ? '–' : f.duration(ms));
  return (
    <dl class={TILES}>
      <Tile label={names.charged} value={<Money c={c} amount={record.chargeNanoUsd} />} />
      <Tile
        label={names.ending}
        value={record.ending === null ? names.running : (t.usage.endings[record.ending] ?? record.ending)}
      />
      {creditedBackNanoUsd > 0 ? (
        <>
          <Tile label={names.given} value={<Money c={c} amount={creditedBackNanoUsd} />} />
          <Tile
            label={names.paid}
            value={<Money c={c} amount={nanoUsd(record.chargeNanoUsd - creditedBackNanoUsd)} />}
          />
        </>
      ) : (
        <>
          <Tile label={names.ttft} value={duration(record.ttftMs)} />
          <Tile
            label={names.took}
            value={duration(record.endedAtMs === null ? null : record.endedAtMs - record.admittedAtMs)}
          />
        </>
      )}
    </dl>
  );
}

/** After 15 min a missing receipt is a finding of the reconciliation; before that only the Wallet knows of it. */
const FINDING_AFTER_MS = 900_000;

/** Whether the node's receipt matched the charge. Such a receipt is only counted, and has no row. */
async function isReceiptMatched(
  c: PortalContext,
  accountId: string,
  { record, archived }: FoundRequest,
): Promise<boolean> {
  const { requestId, endedAtMs, chargeNanoUsd } = record;
  if (endedAtMs === null || chargeNanoUsd === 0) return false;
  if (archived?.findings.some(({ kind }) => kind === 'receipt_missing')) return false;
  const isOld = Date.now() - endedAtMs > FINDING_AFTER_MS;
  if (isOld && !(await wasReceiptReportedMissing(database(c.env), requestId))) return true;
  return (await c.env.WALLET.getByName(accountId).receiptMatched(requestId)) === true;
}

function InLedger({ c, entry, isOwn }: { c: PortalContext; entry: Entry | null; isOwn: boolean }) {
  const { t, f } = words(c);
  const names = t.requests.one;
  const paidPart = (amount: NanoUsd) => nanoUsd(0 - amount);
  return (
    <section aria-labelledby="ledger" class="mb-10">
      <h2 id="ledger" class="mb-2">
        {names.ledgerTitle}
      </h2>
      {entry === null ? (
        <p class="muted">{names.noEntry}</p>
      ) : (
        <dl class="grid grid-cols-[max-content_1fr] gap-x-6 gap-y-1 text-sm">
          <dt class="muted">{t.billing.seq}</dt>
          <dd>
            {isOwn ? (
              <a class="link" href={`/billing?before=${entry.seq + 1}#ledger`}>
                {names.entry(f.count(entry.seq))}
              </a>
            ) : (
              names.entry(f.count(entry.seq))
            )}
          </dd>
          {isOwn && !isId('req', entry.reference) && (
            <>
              <dt class="muted">{names.sharedWith}</dt>
              <dd>
                <EntryRequests c={c} entry={entry} />
              </dd>
            </>
          )}
          <dt class="muted">{names.fromGranted}</dt>
          <dd>
            <Money c={c} amount={paidPart(entry.grantedNanoUsd)} />
          </dd>
          <dt class="muted">{names.fromPaid}</dt>
          <dd>
            <Money c={c} amount={paidPart(entry.paidNanoUsd)} />
          </dd>
          <dt class="muted">{names.hash}</dt>
          <dd class="font-mono break-all">{entry.hash}</dd>
        </dl>
      )}
    </section>
  );
}
