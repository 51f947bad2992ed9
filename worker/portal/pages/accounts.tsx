/** The operator's accounts: found by id or e-mail, with their money, their limits, and a request of theirs whole. */
import { Hono } from 'hono';
import { z } from 'zod';
import { findAccountRequest } from '../../api/find-request.ts';
import { findAccounts, findLimitedAccount, type LimitedAccount } from '../../db/account-limits.ts';
import { database } from '../../db/client.ts';
import { isId } from '../../domain/ids.ts';
import { changeAccountLimits, LIMIT_BOUNDS } from '../../operator/set-limits.ts';
import { type PortalContext, type PortalEnv, words } from '../context.ts';
import { type Faults, OptionalWhole, readForm, type Typed, Whole } from '../form.ts';
import { operator } from '../guard.ts';
import { page } from '../layout.tsx';
import { AccountTable } from '../parts/account-table.tsx';
import { TextField } from '../parts/field.tsx';
import { Money } from '../parts/money.tsx';
import { Notice } from '../parts/notice.tsx';
import { operatorNav } from '../parts/operator-nav.tsx';
import { requestView } from '../parts/request-view.tsx';
import { TILES, Tile } from '../parts/tile.tsx';
import { notFoundPage } from './not-found.tsx';

const PATH = '/operator/accounts';
/** Each asks its Wallet for the balance. */
const SHOWN_MAX = 20;

const LimitsForm = z.object({
  requestsPerMinute: Whole(LIMIT_BOUNDS.requestsPerMinute),
  tokensPerMinute: OptionalWhole(LIMIT_BOUNDS.tokensPerMinute),
  concurrency: Whole(LIMIT_BOUNDS.concurrency),
});

export const accountsPage = new Hono<PortalEnv>();

accountsPage.use(operator);

accountsPage.get('/accounts', async (c) => {
  const { t, f } = words(c);
  const names = t.operator.accounts;
  const asked = (c.req.query('q') ?? '').trim();
  const found = asked === '' ? [] : await findAccounts(database(c.env), asked, SHOWN_MAX);
  return page(
    c,
    { title: names.title },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-4">{names.lead}</p>
      <form method="get" class="mb-8 flex max-w-xl flex-wrap items-end gap-3">
        <div class="grow">
          <TextField c={c} name="q" label={names.search} value={asked} />
        </div>
        <button class="btn" type="submit">
          {names.submit}
        </button>
      </form>
      {found.length > 0 && <AccountTable c={c} accounts={found} />}
      {found.length === SHOWN_MAX && <p class="muted mt-2 text-sm">{names.shownOf(f.count(SHOWN_MAX))}</p>}
      {asked !== '' && found.length === 0 && <p>{names.none}</p>}
    </>,
  );
});

accountsPage.get('/accounts/:accountId', (c) => show(c, c.req.param('accountId'), {}));

accountsPage.post('/accounts/:accountId', async (c) => {
  const accountId = c.req.param('accountId');
  const read = await readForm(c, LimitsForm);
  if (!read.ok) return show(c, accountId, read);
  const order = { accountId, limits: read.values, actor: c.get('person')!.id, nowMs: Date.now() };
  const changed = await changeAccountLimits(c.env, order);
  return changed ? c.redirect(`${PATH}/${accountId}?saved`, 303) : notFoundPage(c);
});

accountsPage.get('/accounts/:accountId/requests/:requestId', async (c) => {
  const { accountId, requestId } = c.req.param();
  const account = await known(c, accountId);
  const found = account && (await findAccountRequest(c.env, { accountId, requestId }));
  if (!found) return notFoundPage(c);
  const view = await requestView({ c, accountId, found, forOperator: true });
  return page(c, { title: words(c).t.requests.one.title, back: `${PATH}/${accountId}` }, view);
});

/** Looked up before its Wallet is reached for, because reaching for one creates it. */
async function known(c: PortalContext, accountId: string): Promise<LimitedAccount | null> {
  return isId('acct', accountId) ? findLimitedAccount(database(c.env), accountId) : null;
}

async function show(
  c: PortalContext,
  accountId: string,
  state: { typed?: Typed; faults?: Faults },
): Promise<Response> {
  const { t, f } = words(c);
  const names = t.operator.accounts;
  const account = await known(c, accountId);
  if (!account) return notFoundPage(c);
  const wallet = c.env.WALLET.getByName(accountId);
  const [balance, books] = await Promise.all([
    wallet.balance(),
    wallet.bookPage({ afterSeq: Number.MAX_SAFE_INTEGER, limit: 1 }),
  ]);
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
      {c.req.query('saved') !== undefined && <Notice tone="success">{names.saved}</Notice>}
      <dl class={TILES}>
        <Tile label={names.available} value={<Money c={c} amount={balance.availableNanoUsd} />} />
        <Tile label={names.held} value={<Money c={c} amount={balance.heldNanoUsd} />} />
        <Tile label={names.owed} value={<Money c={c} amount={balance.owedNanoUsd} />} note={names.owedNote} />
        <Tile
          label={names.untold}
          value={f.count(books.headSeq + 1 - books.untoldFromSeq)}
          note={names.untoldNote}
        />
      </dl>
      <LimitsSection c={c} account={account} {...state} />
    </>,
  );
}

function LimitsSection(props: { c: PortalContext; account: LimitedAccount; typed?: Typed; faults?: Faults }) {
  const { c, account, ...fields } = props;
  const { t } = words(c);
  const names = t.operator.accounts;
  return (
    <section aria-labelledby="limits" class="max-w-3xl">
      <h2 id="limits" class="mb-1">
        {names.limitsTitle}
      </h2>
      <p class="muted mb-4 text-sm">{names.limitsNote}</p>
      <form
        method="post"
        action={`${PATH}/${account.id}`}
        class="grid items-start gap-5 sm:grid-cols-3"
        novalidate
      >
        <TextField
          c={c}
          {...fields}
          name="requestsPerMinute"
          label={names.requestsPerMinute}
          value={String(account.requestsPerMinute)}
          inputmode="numeric"
          required
        />
        <TextField
          c={c}
          {...fields}
          name="tokensPerMinute"
          label={names.tokensPerMinute}
          hint={names.tokensHint}
          value={account.tokensPerMinute === null ? '' : String(account.tokensPerMinute)}
          inputmode="numeric"
        />
        <TextField
          c={c}
          {...fields}
          name="concurrency"
          label={names.concurrency}
          value={String(account.concurrency)}
          inputmode="numeric"
          required
        />
        <div class="sm:col-span-3">
          <button class="btn btn-primary" type="submit">
            {names.save}
          </button>
        </div>
      </form>
    </section>
  );
}
