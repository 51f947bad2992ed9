/** One customer for the operator: money, people, keys, payments, open findings, and the forms to act on the account. */
import { Hono } from 'hono';
import * as z from 'zod';
import { GRANT_MAX, grantCredit } from '../../billing/grants.ts';
import { findLimitedAccount, type LimitedAccount } from '../../db/account-limits.ts';
import { database } from '../../db/client.ts';
import {
  type Disagreement,
  disagreementOf,
  listAccountDrift,
  listFailedWebhooks,
  listTeam,
  type Spend,
  spendOf,
} from '../../db/customers.ts';
import { listKeys } from '../../db/keys.ts';
import { listNodes } from '../../db/nodes.ts';
import { listOrders } from '../../db/payments.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { isId } from '../../domain/ids.ts';
import { nanoUsd } from '../../domain/money.ts';
import type { Balance } from '../../domain/wallet.ts';
import { changeAccountLimits, LIMIT_BOUNDS } from '../../identity/account-limits.ts';
import { endAllSessions } from '../../identity/sessions.ts';
import { suspendAccount } from '../../identity/suspend.ts';
import { findAccountRequest } from '../../wallet/find-request.ts';
import { PaymentsTable } from '../billing/payments-table.tsx';
import { Callout } from '../components/callout.tsx';
import { Money } from '../components/money.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import {
  type Faults,
  fault,
  Line,
  OptionalWhole,
  readForm,
  type Typed,
  typedFields,
  Usd,
  Whole,
} from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { requestView } from '../usage/request-view.tsx';
import { KeyTable, TeamTable, WebhookTable } from './account-facts.tsx';
import { AccountLimitsForm } from './account-limits-form.tsx';
import { GrantSection, SuspendSection } from './account-orders.tsx';
import { DriftTable } from './drift-table.tsx';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/accounts';
/** Rows per table: enough to see what kind of trouble an account has. */
const SHOWN_MAX = 10;

const LimitsForm = (marks: NumberMarks) =>
  z.object({
    requestsPerMinute: Whole(marks, LIMIT_BOUNDS.requestsPerMinute),
    tokensPerMinute: OptionalWhole(marks, LIMIT_BOUNDS.tokensPerMinute),
    concurrency: Whole(marks, LIMIT_BOUNDS.concurrency),
  });

const GrantForm = (marks: NumberMarks) =>
  z.object({
    grantId: z.string(fault('choice')).regex(/^[0-9a-f-]{36}$/, fault('choice')),
    amount: Usd(marks).refine((amount) => amount > 0 && amount <= GRANT_MAX, fault('grant_bounds')),
    note: Line(200),
    confirmGrant: z.string(fault('confirm_account')),
  });

export const customerPage = new Hono<PortalEnv>();

customerPage.use(operator);

customerPage.get('/accounts/:accountId', (c) => show(c, c.req.param('accountId'), {}));

customerPage.post('/accounts/:accountId', async (c) => {
  const accountId = c.req.param('accountId');
  const read = await readForm(c, LimitsForm);
  if (!read.ok) return show(c, accountId, read);
  const order = { accountId, limits: read.values, actor: c.get('person')!.id, nowMs: Date.now() };
  const changed = await changeAccountLimits(c.env, order);
  return changed ? redirectDone(c, accountId, 'saved') : notFoundPage(c);
});

customerPage.post('/accounts/:accountId/grants', async (c) => {
  const accountId = c.req.param('accountId');
  const account = await findAccount(c, accountId);
  if (!account) return notFoundPage(c);
  const read = await readForm(c, GrantForm);
  if (!read.ok) return show(c, accountId, read);
  const { typed, values } = read;
  if (!isNamed(account, values.confirmGrant))
    return show(c, accountId, { typed, faults: { confirmGrant: 'confirm_account' } });
  const grant = { grant_id: values.grantId, amount_usd: values.amount, note: values.note };
  const order = { accountId, grant, actor: c.get('person')!.id, nowMs: Date.now() };
  const granted = await grantCredit(c.env, order);
  if (!granted.ok) return show(c, accountId, { typed, faults: { amount: 'grant_taken' } });
  return redirectDone(c, accountId, 'granted');
});

customerPage.post('/accounts/:accountId/:action{suspend|resume}', async (c) => {
  const { accountId, action } = c.req.param();
  const account = await findAccount(c, accountId);
  if (!account) return notFoundPage(c);
  const typed = await typedFields(c);
  if (!isNamed(account, typed.confirmState ?? ''))
    return show(c, accountId, { typed, faults: { confirmState: 'confirm_account' } });
  const order = { accountId, suspended: action === 'suspend', actor: c.get('person')!.id, nowMs: Date.now() };
  await suspendAccount(c.env, order);
  return redirectDone(c, accountId, action === 'suspend' ? 'suspended' : 'resumed');
});

customerPage.post('/accounts/:accountId/people/:personId/end-sessions', async (c) => {
  const { accountId, personId } = c.req.param();
  const team = (await findAccount(c, accountId)) ? await listTeam(database(c.env), accountId) : [];
  if (!team.some((each) => each.personId === personId)) return notFoundPage(c);
  await endAllSessions(c.env, { personId, accountId, actor: c.get('person')!.id, nowMs: Date.now() });
  return redirectDone(c, accountId, 'sessions');
});

customerPage.get('/accounts/:accountId/requests/:requestId', async (c) => {
  const { accountId, requestId } = c.req.param();
  const account = await findAccount(c, accountId);
  const request = account && (await findAccountRequest(c.env, { accountId, requestId }));
  if (!request) return notFoundPage(c);
  const view = await requestView({ c, accountId, request, forOperator: true });
  return page(c, { title: words(c).t.requests.one.title, back: `${PATH}/${accountId}` }, view);
});

/** The account, looked up before its Wallet is addressed: addressing a Wallet creates it, even for a made-up id. */
async function findAccount(c: PortalContext, accountId: string): Promise<LimitedAccount | null> {
  return isId('acct', accountId) ? findLimitedAccount(database(c.env), accountId) : null;
}

function isNamed(account: LimitedAccount, typed: string): boolean {
  return (
    typed === account.id || (account.email !== null && typed.toLowerCase() === account.email.toLowerCase())
  );
}

type Done = 'saved' | 'granted' | 'suspended' | 'resumed' | 'sessions' | 'factor';

function redirectDone(c: PortalContext, accountId: string, done: Done) {
  return c.redirect(`${PATH}/${accountId}?${done}`, 303);
}

async function show(
  c: PortalContext,
  accountId: string,
  state: { typed?: Typed; faults?: Faults },
): Promise<Response> {
  const { t, f } = words(c);
  const names = t.customers;
  const account = await findAccount(c, accountId);
  if (!account) return notFoundPage(c);
  const db = database(c.env);
  const nowMs = Date.now();
  const wallet = c.env.WALLET.getByName(accountId);
  const [balance, audit, spend, team, keys, orders, findings, disagreement, failed, nodes] =
    await Promise.all([
      wallet.balance(),
      wallet.auditPage({ afterSeq: Number.MAX_SAFE_INTEGER, limit: 1 }),
      spendOf(db, accountId, nowMs),
      listTeam(db, accountId),
      listKeys(db, accountId),
      listOrders(db, accountId, SHOWN_MAX),
      listAccountDrift(db, accountId, SHOWN_MAX),
      disagreementOf(db, accountId),
      listFailedWebhooks(db, { accountId, limit: SHOWN_MAX }),
      listNodes(db),
    ]);
  const unpublished = audit.headSeq + 1 - audit.unpublishedFromSeq;
  return page(
    c,
    { title: account.name, status: state.faults ? 422 : 200, back: `${PATH}/${accountId}` },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-1">
        <bdi>{account.name}</bdi>
      </h1>
      <p class="muted mb-6 text-sm break-all">
        <span class="font-mono">{account.id}</span> {account.email ?? '–'}
      </p>
      <DoneCallout c={c} />
      {account.suspendedAtMs !== null && (
        <Callout tone="warning">{names.suspendedSince(f.dateTime(account.suspendedAtMs))}</Callout>
      )}
      <Figures c={c} balance={balance} spend={spend} unpublished={unpublished} />
      <TeamTable c={c} accountId={accountId} team={team} />
      <KeyTable c={c} keys={keys} nowMs={nowMs} />
      <section aria-labelledby="payments" class="mb-10">
        <h2 id="payments" class="mb-2">
          {t.billing.paymentsTitle}
        </h2>
        {orders.length === 0 ? (
          <p>{t.billing.paymentsEmpty}</p>
        ) : (
          <PaymentsTable c={c} orders={orders} nowMs={Date.now()} />
        )}
      </section>
      <Agreement c={c} disagreement={disagreement} />
      <DriftTable c={c} findings={findings} nodeNames={new Map(nodes.map(({ id, name }) => [id, name]))} />
      <WebhookTable c={c} failed={failed} />
      <GrantSection c={c} account={account} {...state} />
      <AccountLimitsForm c={c} account={account} {...state} />
      <SuspendSection c={c} account={account} {...state} />
    </>,
  );
}

/** Confirms the action that the page returns from, as the query names it. */
function DoneCallout({ c }: { c: PortalContext }) {
  const { t } = words(c);
  const texts: Record<Done, string> = {
    saved: t.operator.accounts.saved,
    granted: t.customers.grantDone,
    suspended: t.customers.suspendDone,
    resumed: t.customers.resumeDone,
    sessions: t.customers.sessionsEnded,
    factor: t.customers.resetFactorDone,
  };
  const done = (Object.keys(texts) as Done[]).find((each) => c.req.query(each) !== undefined);
  return done ? <Callout tone="success">{texts[done]}</Callout> : null;
}

function Figures(props: { c: PortalContext; balance: Balance; spend: Spend; unpublished: number }) {
  const { c, balance, spend, unpublished } = props;
  const { t, f } = words(c);
  const names = t.operator.accounts;
  const money = (amount: number) => <Money c={c} amount={nanoUsd(amount)} />;
  return (
    <dl class={TILES}>
      <Tile label={names.available} value={money(balance.availableNanoUsd)} />
      <Tile label={t.customers.granted} value={money(balance.grantedNanoUsd)} />
      <Tile label={t.customers.paid} value={money(balance.paidNanoUsd)} />
      <Tile label={names.held} value={money(balance.heldNanoUsd)} />
      <Tile label={names.owed} value={money(balance.owedNanoUsd)} note={names.owedNote} />
      <Tile label={t.customers.spendDay} value={money(spend.dayNanoUsd)} />
      <Tile label={t.customers.spendWeek} value={money(spend.weekNanoUsd)} />
      <Tile label={names.unpublished} value={f.count(unpublished)} note={names.unpublishedNote} />
    </dl>
  );
}

function Agreement({ c, disagreement }: { c: PortalContext; disagreement: Disagreement }) {
  const { t, f } = words(c);
  const names = t.customers;
  const { uncredited, uncorrected, awaitingReceipt } = disagreement;
  return (
    <section aria-labelledby="agreement" class="mb-10">
      <h2 id="agreement" class="mb-2">
        {names.checkTitle}
      </h2>
      <ul class="mb-2 list-disc ps-5">
        <li>{names.uncredited(f.count(uncredited))}</li>
        <li>{names.uncorrected(f.count(uncorrected))}</li>
        <li>{names.awaitingReceipt(f.count(awaitingReceipt))}</li>
      </ul>
      <a class="link text-sm" href="/operator/reconciliation">
        {names.toReconciliation}
      </a>
    </section>
  );
}
