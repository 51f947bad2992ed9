/**
 * Limits and alerts: current use of each limit, the account's cap, alert thresholds, webhook endpoints and the delivery
 * log. An endpoint or delivery of another account is answered with 404.
 */
import { Hono } from 'hono';
import * as z from 'zod';
import { findAccount, setAccountCap } from '../../db/accounts.ts';
import { database } from '../../db/client.ts';
import { listKeys } from '../../db/keys.ts';
import { listDeliveries } from '../../db/notice-deliveries.ts';
import { noticeSettingOf, saveNoticeSetting } from '../../db/notices.ts';
import { listEndpoints, removeEndpoint } from '../../db/webhook-endpoints.ts';
import { isId } from '../../domain/ids.ts';
import { deliverAgain } from '../../notifications/deliver.ts';
import { addEndpoint, rotateEndpoint, testEndpoint } from '../../notifications/webhook/endpoints.ts';
import { Callout } from '../components/callout.tsx';
import { ShownSecret } from '../components/shown-secret.tsx';
import { Writable } from '../components/writable.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, readForm, type Typed } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { problemPage } from '../frame/problem.tsx';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';
import { keyState } from '../keys/key-state.ts';
import { CapForm, CapSection, ThresholdForm, ThresholdSection } from './alert-forms.tsx';
import { DeliveryLog } from './delivery-log.tsx';
import { EndpointList } from './endpoint-list.tsx';
import { GaugeTable } from './gauge-table.tsx';
import { readGauges } from './gauges.ts';

/** Keys per page. Each asks the Wallet for its load, so a longer page would be slow. */
const KEYS_SHOWN_MAX = 25;
const DELIVERIES_SHOWN = 25;

const EndpointForm = z.object({ url: z.string({ error: 'required' }).min(1, { error: 'required' }) });

export const alertsPage = new Hono<PortalEnv>();

alertsPage.use(signedIn, allowed('alerts'));

alertsPage.get('/', (c) => show(c, {}));

alertsPage.post('/cap', async (c) => {
  const read = await readForm(c, CapForm);
  if (!read.ok) return show(c, { cap: read });
  const { capUsd: capNanoUsd, capPeriod } = read.values;
  await setAccountCap(database(c.env), { accountId: c.get('accountId'), capNanoUsd, capPeriod });
  return redirectDone(c, 'cap');
});

alertsPage.post('/watch', async (c) => {
  const read = await readForm(c, ThresholdForm);
  if (!read.ok) return show(c, { watch: read });
  const accountId = c.get('accountId');
  await saveNoticeSetting(database(c.env), { accountId, ...read.values });
  const { lowBalanceNanoUsd, capPercents } = read.values;
  await c.env.WALLET.getByName(accountId).setAlertThresholds({ lowBalanceNanoUsd, capPercents });
  return redirectDone(c, 'watch');
});

alertsPage.post('/endpoints', async (c) => {
  const read = await readForm(c, EndpointForm);
  if (!read.ok) return show(c, { endpoint: read });
  const request = {
    accountId: c.get('accountId'),
    url: read.values.url,
    actor: c.get('person')!.id,
    nowMs: Date.now(),
  };
  const added = await addEndpoint(c.env, request);
  if (added.ok) return showSecret(c, added);
  const { fault } = added;
  if (fault === 'not_allowed') return problemPage(c, 'role');
  return show(c, { endpoint: { typed: read.typed, faults: { url: fault } } });
});

alertsPage.post('/endpoints/:id/rotate', async (c) => {
  const which = endpointOf(c);
  const rotated = which && (await rotateEndpoint(c.env, { ...which, nowMs: Date.now() }));
  return rotated ? showSecret(c, rotated) : notFoundPage(c);
});

alertsPage.post('/endpoints/:id/remove', async (c) => {
  const which = endpointOf(c);
  const removed = which && (await removeEndpoint(database(c.env), { ...which, nowMs: Date.now() }));
  return removed ? redirectDone(c, 'removed') : notFoundPage(c);
});

alertsPage.post('/endpoints/:id/test', async (c) => {
  const which = endpointOf(c);
  const begun = which && (await testEndpoint(c.env, { ...which, nowMs: Date.now() }));
  return begun ? redirectDone(c, 'test') : notFoundPage(c);
});

alertsPage.post('/deliveries/:id/again', async (c) => {
  const which = { accountId: c.get('accountId'), deliveryId: c.req.param('id') };
  const begun = isId('dlv', which.deliveryId) && (await deliverAgain(c.env, which));
  return begun ? redirectDone(c, 'again') : notFoundPage(c);
});

function endpointOf(c: PortalContext): { accountId: string; endpointId: string } | null {
  const endpointId = c.req.param('id') ?? '';
  return isId('hook', endpointId) ? { accountId: c.get('accountId'), endpointId } : null;
}

/** Values of the query `done`, each with a confirming text. */
type Done = 'cap' | 'watch' | 'removed' | 'test' | 'again';

function redirectDone(c: PortalContext, done: Done) {
  return c.redirect(`/alerts?done=${done}`, 303);
}

async function showSecret(c: PortalContext, { url, secret }: { url: string; secret: string }) {
  const subject = c.get('accountId');
  await carrySecret(c, { kind: 'webhook_secret', subject, text: secret, note: url });
  return c.redirect('/alerts', 303);
}

interface FormState {
  readonly typed: Typed;
  readonly faults: Faults;
}

/** The form that comes back with its typed values and faults; at most one. */
type State = Partial<Record<'cap' | 'watch' | 'endpoint', FormState>>;

async function show(c: PortalContext, state: State) {
  const { t, f } = words(c);
  const db = database(c.env);
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const [account, allKeys, setting, endpoints, deliveries, secret] = await Promise.all([
    findAccount(db, accountId),
    listKeys(db, accountId),
    noticeSettingOf(db, accountId),
    listEndpoints(db, accountId),
    listDeliveries(db, { accountId, limit: DELIVERIES_SHOWN }),
    takeSecret(c, { kind: 'webhook_secret', subject: accountId }),
  ]);
  const keys = allKeys.filter((key) => keyState(key, nowMs) === 'active');
  const gauges = await readGauges(c, account!, keys.slice(0, KEYS_SHOWN_MAX));
  const failed = Object.keys(state).length > 0;
  const doneText = t.alerts.done[c.req.query('done') as Done] as string | undefined;
  return page(
    c,
    // each form posts to a path of its own, to which the language switch could not return
    { title: t.alerts.title, back: '/alerts', status: failed ? 422 : 200 },
    <>
      <h1 class="mb-2">{t.alerts.title}</h1>
      <p class="mb-8">{t.alerts.lead}</p>
      {failed && <Callout tone="error">{t.faults.summary}</Callout>}
      {secret && (
        <ShownSecret
          title={t.alerts.secretTitle(secret.note)}
          text={secret.text}
          note={t.alerts.secretNote}
        />
      )}
      {!failed && doneText !== undefined && <Callout tone="success">{doneText}</Callout>}
      <section aria-labelledby="load" class="mb-12">
        <h2 id="load" class="mb-1">
          {t.alerts.loadTitle}
        </h2>
        <p class="muted mb-3 max-w-3xl text-sm">{t.alerts.loadNote(f.time(nowMs))}</p>
        <GaugeTable c={c} gauges={gauges} nowMs={nowMs} />
        {keys.length > KEYS_SHOWN_MAX && <p class="muted mt-2 text-sm">{t.alerts.shownOf(KEYS_SHOWN_MAX)}</p>}
      </section>
      <Writable c={c} area="alerts">
        <div class="grid gap-12 lg:grid-cols-2">
          <ThresholdSection c={c} setting={setting} {...state.watch} />
          <CapSection c={c} account={account!} {...state.cap} />
        </div>
        <EndpointList c={c} endpoints={endpoints} {...state.endpoint} />
        <DeliveryLog
          c={c}
          deliveries={deliveries}
          keyNames={new Map(allKeys.map(({ id, name }) => [id, name]))}
        />
      </Writable>
    </>,
  );
}
