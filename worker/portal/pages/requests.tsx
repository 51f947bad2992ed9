/** Requests: every one that has ended, newest first, by key, model, ending and period. One page a request beside it. */
import { Hono } from 'hono';
import { findAccountRequest } from '../../api/find-request.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { listKeys } from '../../db/keys.ts';
import { listRequests, type RequestCursor } from '../../db/requests.ts';
import { type PortalEnv, words } from '../context.ts';
import { allowed, signedIn } from '../guard.ts';
import { page } from '../layout.tsx';
import { RequestFilterForm } from '../parts/request-filter.tsx';
import { RequestTable } from '../parts/request-table.tsx';
import { requestView } from '../parts/request-view.tsx';
import { cursorOf, cursorText, requestQuery, SPANS_MS } from '../request-query.ts';
import { notFoundPage } from './not-found.tsx';

const PATH = '/requests';
const PAGE = 25;

export const requestsPage = new Hono<PortalEnv>();

requestsPage.use(signedIn, allowed('usage'));

requestsPage.get('/', async (c) => {
  const { t } = words(c);
  const db = database(c.env);
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const chosen = requestQuery(c);
  const before = cursorOf(c.req.query('before'));
  const [keys, models, list] = await Promise.all([
    listKeys(db, accountId),
    loadCatalogue(db),
    listRequests(db, {
      ...chosen,
      accountId,
      fromMs: Math.max(0, nowMs - SPANS_MS[chosen.period]),
      before,
      limit: PAGE,
    }),
  ]);
  const keyNames = new Map(keys.map((key) => [key.id, key.name]));
  const linkTo = (cursor: RequestCursor | null) => {
    const query = new URLSearchParams(c.req.query());
    query.delete('before');
    if (cursor) query.set('before', cursorText(cursor));
    const text = query.toString();
    return text === '' ? PATH : `${PATH}?${text}`;
  };
  return page(
    c,
    { title: t.requests.title },
    <>
      <h1 class="mb-2">{t.requests.title}</h1>
      <p class="mb-6">{t.requests.lead}</p>
      <RequestFilterForm c={c} keys={keys} models={models} chosen={chosen} />
      {list.rows.length === 0 ? (
        <p class="muted">{list.next ? t.requests.noneSoFar : t.requests.none}</p>
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

requestsPage.get('/:requestId', async (c) => {
  const which = { accountId: c.get('accountId'), requestId: c.req.param('requestId') };
  const found = await findAccountRequest(c.env, which);
  if (!found) return notFoundPage(c);
  const { t } = words(c);
  const isOperator = c.get('person')?.role === 'operator';
  const view = await requestView({ c, accountId: which.accountId, found, forOperator: isOperator });
  return page(c, { title: t.requests.one.title, back: `${PATH}/${which.requestId}` }, view);
});
