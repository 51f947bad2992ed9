/**
 * The list of ended requests, newest first: filtered, or those of one ledger entry; and the page of one request, which may
 * still be running.
 */
import { Hono } from 'hono';
import { listAllRequests } from '../../archive/requests.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { listKeys } from '../../db/keys.ts';
import { chargedRequests, type Entry } from '../../domain/ledger.ts';
import { nanoUsd } from '../../domain/money.ts';
import { findAccountRequest } from '../../wallet/find-request.ts';
import { findEntry } from '../../wallet/ledger-page.ts';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { RequestFilterForm } from './request-filter.tsx';
import { cursorOf, entryOf, requestQuery, SPANS_MS } from './request-query.ts';
import { RequestTable } from './request-table.tsx';
import { requestView } from './request-view.tsx';

const PATH = '/requests';
const PAGE_SIZE = 25;
/** The list of an entry's requests is not filtered. */
const NO_FILTER = { keyId: null, modelId: null, ending: null } as const;

export const requestsPage = new Hono<PortalEnv>();

requestsPage.use(signedIn, allowed('usage'));

requestsPage.get('/', async (c) => {
  const { t, f } = words(c);
  const db = database(c.env);
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const seq = entryOf(c.req.query('entry'));
  const entry = seq === null ? null : await findEntry(c.env, accountId, seq);
  if (seq !== null && entry?.kind !== 'charge') return notFoundPage(c);
  const query = requestQuery(c);
  const before = cursorOf(c.req.query('before'));
  const [keys, models, list] = await Promise.all([
    listKeys(db, accountId),
    loadCatalogue(db),
    listAllRequests(c.env, {
      ...(entry ? NO_FILTER : query),
      accountId,
      fromMs: entry ? 0 : Math.max(0, nowMs - SPANS_MS[query.period]),
      before,
      entry: entry && { seq: entry.seq, ...chargedRequests(entry.reference) },
      limit: PAGE_SIZE,
    }),
  ]);
  const keyNames = new Map(keys.map((key) => [key.id, key.name]));
  const linkTo = (cursor: string | null) => {
    const params = new URLSearchParams(c.req.query());
    params.delete('before');
    if (cursor) params.set('before', cursor);
    const text = params.toString();
    return text === '' ? PATH : `${PATH}?${text}`;
  };
  const title = entry ? t.requests.ofEntryTitle(f.count(entry.seq)) : t.requests.title;
  const emptyText = entry && !before ? t.requests.ofEntryNone : t.requests.none;
  return page(
    c,
    { title },
    <>
      <h1 class="mb-2">{title}</h1>
      {entry ? (
        <EntryIntro c={c} entry={entry} />
      ) : (
        <>
          <p class="mb-6">{t.requests.lead}</p>
          <RequestFilterForm c={c} keys={keys} models={models} query={query} />
        </>
      )}
      {list.rows.length === 0 ? (
        <p class="muted">{list.next ? t.requests.noneSoFar : emptyText}</p>
      ) : (
        <RequestTable c={c} rows={list.rows} keyNames={keyNames} />
      )}
      <p class="mt-4 flex gap-6 text-sm">
        {before && (
          <a class="link" href={linkTo(null)}>
            {t.requests.newest}
          </a>
        )}
        {list.next && (
          <a class="link" href={linkTo(list.next)}>
            {t.requests.older}
          </a>
        )}
      </p>
    </>,
  );
});

/** Total charge of the entry's requests, with links to the ledger and to all requests. */
function EntryIntro({ c, entry }: { c: PortalContext; entry: Entry }) {
  const { t, f } = words(c);
  const charge = nanoUsd(0 - (entry.grantedNanoUsd + entry.paidNanoUsd));
  return (
    <>
      <p class="mb-2">{t.requests.ofEntryLead(f.usdExact(charge).join(''))}</p>
      <p class="mb-6 flex gap-6 text-sm">
        <a class="link" href={`/billing?before=${entry.seq + 1}#ledger`}>
          {t.requests.one.ledgerTitle}
        </a>
        <a class="link" href={PATH}>
          {t.requests.all}
        </a>
      </p>
    </>
  );
}

requestsPage.get('/:requestId', async (c) => {
  const which = { accountId: c.get('accountId'), requestId: c.req.param('requestId') };
  const request = await findAccountRequest(c.env, which);
  if (!request) return notFoundPage(c);
  const { t } = words(c);
  const isOperator = c.get('person')?.role === 'operator';
  const view = await requestView({ c, accountId: which.accountId, request, forOperator: isOperator });
  return page(c, { title: t.requests.one.title, back: `${PATH}/${which.requestId}` }, view);
});
