/** The operator's customers: results of a search by id, e-mail or request id, or else accounts in trouble and the newest. */

import { Hono } from 'hono';
import { findAccountOfRequest } from '../../archive/requests.ts';
import {
  findAccounts,
  findAccountsByIds,
  type LimitedAccount,
  listAccounts,
} from '../../db/account-limits.ts';
import { database } from '../../db/client.ts';
import { type Anomaly, listAnomalies } from '../../db/customers.ts';
import { trialGrantsOn } from '../../db/trial-grants.ts';
import { isId } from '../../domain/ids.ts';
import { dayOf } from '../../domain/limits.ts';
import { config } from '../../env.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { AccountTable } from './account-table.tsx';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/accounts';
/** Accounts per page. Each row asks its Wallet for the balance, so a longer page would be slow. */
const SHOWN_MAX = 20;

export const accountsPage = new Hono<PortalEnv>();

accountsPage.use(operator);

accountsPage.get('/accounts', async (c) => {
  const { t } = words(c);
  const names = t.operator.accounts;
  const search = (c.req.query('q') ?? '').trim();
  const accountId = isId('req', search) ? await findAccountOfRequest(c.env, search) : null;
  if (accountId !== null) return c.redirect(`${PATH}/${accountId}/requests/${search}`, 303);
  return page(
    c,
    { title: names.title },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-4">{names.lead}</p>
      <form method="get" class="mb-8 flex max-w-xl flex-wrap items-end gap-3">
        <div class="grow">
          <TextField c={c} name="q" label={names.search} value={search} />
        </div>
        <button class="btn" type="submit">
          {names.submit}
        </button>
      </form>
      {search === '' ? await overview(c) : await searchResults(c, search)}
    </>,
  );
});

async function searchResults(c: PortalContext, search: string) {
  const { t, f } = words(c);
  const names = t.operator.accounts;
  const accounts = await findAccounts(database(c.env), search, SHOWN_MAX);
  if (accounts.length === 0) return <p>{names.none}</p>;
  return (
    <>
      <AccountTable c={c} label={names.title} accounts={accounts} />
      {accounts.length === SHOWN_MAX && <p class="muted mt-2 text-sm">{names.shownOf(f.count(SHOWN_MAX))}</p>}
    </>
  );
}

async function overview(c: PortalContext) {
  const { t } = words(c);
  const names = t.customers;
  const db = database(c.env);
  const pageText = c.req.query('page') ?? '';
  const pageIndex = /^\d{1,6}$/.test(pageText) ? Number(pageText) : 0;
  const [anomalies, newest, trials] = await Promise.all([
    pageIndex === 0 ? listAnomalies(db, { nowMs: Date.now(), limit: SHOWN_MAX }) : [],
    listAccounts(db, { limit: SHOWN_MAX + 1, offset: pageIndex * SHOWN_MAX }),
    trialGrantsOn(db, dayOf(Date.now())),
  ]);
  const ids = anomalies.map(({ accountId }) => accountId);
  const troubled = ids.length === 0 ? [] : await findAccountsByIds(db, ids);
  return (
    <>
      <TrialToday c={c} {...trials} />
      {pageIndex === 0 && <Troubled c={c} accounts={troubled} anomalies={anomalies} />}
      <section aria-labelledby="newest">
        <h2 id="newest" class="mb-2">
          {names.newestTitle}
        </h2>
        <AccountTable c={c} label={names.newestTitle} accounts={newest.slice(0, SHOWN_MAX)} />
        <p class="mt-3 flex gap-x-5 text-sm">
          {pageIndex > 0 && (
            <a class="link" href={`${PATH}?page=${pageIndex - 1}`}>
              {names.newer}
            </a>
          )}
          {newest.length > SHOWN_MAX && (
            <a class="link" href={`${PATH}?page=${pageIndex + 1}`}>
              {names.older}
            </a>
          )}
        </p>
      </section>
    </>
  );
}

/** How much of the day's trial credit is used. */
function TrialToday({
  c,
  accounts,
  totalNanoUsd,
}: {
  c: PortalContext;
  accounts: number;
  totalNanoUsd: number;
}) {
  const { t, f } = words(c);
  const { trialGrantNanoUsd, trialDailyNanoUsd } = config(c.env);
  if (trialGrantNanoUsd === 0) return null;
  const counted = t.trial.accounts(accounts, f.count(accounts));
  return <p class="mb-6">{t.trial.today(f.usd(totalNanoUsd), f.usd(trialDailyNanoUsd), counted)}</p>;
}

function Troubled(props: {
  c: PortalContext;
  accounts: readonly LimitedAccount[];
  anomalies: readonly Anomaly[];
}) {
  const { c, accounts, anomalies } = props;
  const names = words(c).t.customers;
  const why = new Map(anomalies.map((anomaly) => [anomaly.accountId, whyText(c, anomaly)]));
  return (
    <section aria-labelledby="troubled" class="mb-10">
      <h2 id="troubled" class="mb-1">
        {names.anomaliesTitle}
      </h2>
      {accounts.length === 0 ? (
        <p>{names.anomaliesNone}</p>
      ) : (
        <>
          <p class="muted mb-2 text-sm">{names.anomaliesNote}</p>
          <AccountTable c={c} label={names.anomaliesTitle} accounts={accounts} why={why} />
        </>
      )}
    </section>
  );
}

function whyText(c: PortalContext, { findings, failedWebhooks, uncollectedNanoUsd }: Anomaly): string {
  const { t, f } = words(c);
  const names = t.customers;
  return [
    findings > 0 && names.findings(f.count(findings)),
    failedWebhooks > 0 && names.failedWebhooks(f.count(failedWebhooks)),
    uncollectedNanoUsd > 0 && names.uncollected(f.usd(uncollectedNanoUsd)),
  ]
    .filter(Boolean)
    .join(', ');
}
