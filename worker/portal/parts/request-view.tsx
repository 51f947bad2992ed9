/** One request whole: what it was, its tokens, the arithmetic of its price, its ledger entry, what nodes say of it. */
import type { FoundRequest } from '../../api/find-request.ts';
import { database } from '../../db/client.ts';
import { findKey } from '../../db/keys.ts';
import { listNodes } from '../../db/nodes.ts';
import { findPrice } from '../../db/prices.ts';
import { receiptsOf } from '../../db/requests.ts';
import type { Entry } from '../../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import { type PortalContext, words } from '../context.ts';
import { Money } from './money.tsx';
import { Notice } from './notice.tsx';
import { RequestArithmetic } from './request-arithmetic.tsx';
import { RequestFacts } from './request-facts.tsx';
import { RequestReceipts } from './request-receipts.tsx';
import { TILES, Tile } from './tile.tsx';

/** @param props.forOperator nodes have names; customers see ids. The ledger is linked only for its owner */
export async function requestView(props: {
  c: PortalContext;
  accountId: string;
  found: FoundRequest;
  forOperator: boolean;
}) {
  const { c, accountId, found, forOperator } = props;
  const { record, givenBackNanoUsd } = found;
  const { t, f } = words(c);
  const names = t.requests.one;
  const db = database(c.env);
  const which = { accountId, requestId: record.requestId };
  const [key, price, entry, receipts, nodes] = await Promise.all([
    findKey(db, { accountId, keyId: record.keyId }),
    findPrice(db, record.price.id),
    entryOf(c, accountId, record.entrySeq),
    receiptsOf(db, which),
    forOperator ? listNodes(db) : [],
  ]);
  const nodeNames = new Map(nodes.map((node) => [node.id, node.name]));
  const nodeName = (id: string | null) => (id === null ? names.noNode : (nodeNames.get(id) ?? id));
  const running = record.state === 'held';
  const duration = (ms: number | null) => (ms === null ? '–' : f.duration(ms));
  return (
    <>
      <h1 class="mb-1">{names.title}</h1>
      <p class="mb-6 font-mono text-sm break-all">{record.requestId}</p>
      {running && (
        <Notice tone="info">
          {names.runningNote(f.usdExact(record.heldNanoUsd).join(''))}{' '}
          <a class="link" href={c.req.path}>
            {names.refresh}
          </a>
        </Notice>
      )}
      <dl class={TILES}>
        <Tile label={names.charged} value={<Money c={c} amount={record.chargeNanoUsd} />} />
        <Tile
          label={names.ending}
          value={record.ending === null ? names.running : (t.usage.endings[record.ending] ?? record.ending)}
        />
        {givenBackNanoUsd > 0 ? (
          <>
            <Tile label={names.given} value={<Money c={c} amount={givenBackNanoUsd} />} />
            <Tile
              label={names.paid}
              value={<Money c={c} amount={nanoUsd(record.chargeNanoUsd - givenBackNanoUsd)} />}
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
      <RequestFacts
        c={c}
        record={record}
        keyName={key?.name ?? t.usage.removedKey}
        nodeName={nodeName(record.nodeId)}
        price={price}
      />
      <RequestArithmetic c={c} record={record} givenBackNanoUsd={givenBackNanoUsd} />
      {!running && <InLedger c={c} entry={entry} own={accountId === c.get('accountId')} />}
      <RequestReceipts c={c} receipts={receipts} nodeName={nodeName} />
      <p class="muted mt-8 text-sm">
        {names.json} <code class="break-all">GET /v1/generations/{record.requestId}</code>
      </p>
    </>
  );
}

/** From the Wallet, which has it at once and for good. */
async function entryOf(c: PortalContext, accountId: string, seq: number | null): Promise<Entry | null> {
  if (seq === null) return null;
  const page = await c.env.WALLET.getByName(accountId).ledger({ beforeSeq: seq + 1, limit: 1 });
  return page.entries.find((entry) => entry.seq === seq) ?? null;
}

function InLedger({ c, entry, own }: { c: PortalContext; entry: Entry | null; own: boolean }) {
  const { t, f } = words(c);
  const names = t.requests.one;
  const leg = (amount: NanoUsd) => nanoUsd(0 - amount);
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
            {own ? (
              <a class="link" href={`/billing?before=${entry.seq + 1}#ledger`}>
                {names.entry(f.count(entry.seq))}
              </a>
            ) : (
              names.entry(f.count(entry.seq))
            )}
          </dd>
          <dt class="muted">{names.fromGranted}</dt>
          <dd>
            <Money c={c} amount={leg(entry.grantedNanoUsd)} />
          </dd>
          <dt class="muted">{names.fromPaid}</dt>
          <dd>
            <Money c={c} amount={leg(entry.paidNanoUsd)} />
          </dd>
          <dt class="muted">{names.hash}</dt>
          <dd class="font-mono break-all">{entry.hash}</dd>
        </dl>
      )}
    </section>
  );
}
