/** Keys: each with its spend and its limits, and the form for a new one, which is shown once. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, createKey, isFullOfKeys, listKeys } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { CAP_PERIODS } from '../../domain/limits.ts';
import type { NanoUsd } from '../../domain/money.ts';
import { KEY_SCOPES } from '../../domain/principal-kind.ts';
import { config } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { pepperKey } from '../../tokens/pepper.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Money } from '../components/money.tsx';
import { Sheet } from '../components/sheet.tsx';
import { ShownSecret } from '../components/shown-secret.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import {
  Choice,
  type Faults,
  Name,
  OptionalUsd,
  OptionalWhole,
  readForm,
  type Typed,
  Whole,
} from '../frame/form.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { problemPage } from '../frame/problem.tsx';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';
import { keyState } from './key-state.ts';
import { type MadeBy, readMakers } from './made-by.ts';

const DAY_MS = 86_400_000;
/** Keys per page. Each active one asks the Wallet for its spend, so a longer page would be slow. */
const KEYS_SHOWN_MAX = 50;

const KeyForm = (marks: NumberMarks) =>
  z.object({
    name: Name,
    scope: Choice(KEY_SCOPES).default('inference'),
    capUsd: OptionalUsd(marks),
    capPeriod: Choice(CAP_PERIODS),
    requestsPerMinute: Whole(marks, { min: 1, max: 100_000 }),
    tokensPerMinute: OptionalWhole(marks, { min: 1, max: 100_000_000 }),
    concurrency: Whole(marks, { min: 1, max: 10_000 }),
    expiryDays: OptionalWhole(marks, { min: 1, max: 3_650 }),
  });

/** Initial values of the form: the defaults of the columns in db/schema/accounts.ts. */
const DEFAULTS: Typed = {
  scope: 'inference',
  capPeriod: 'month',
  requestsPerMinute: '600',
  concurrency: '100',
};

export const keysPage = new Hono<PortalEnv>();

keysPage.use(signedIn, allowed('keys'));

keysPage.get('/', (c) => show(c, {}));

keysPage.post('/', async (c) => {
  const read = await readForm(c, KeyForm);
  if (!read.ok) return show(c, read);
  const { capUsd, expiryDays, ...rest } = read.values;
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const made = await createKey(
    database(c.env),
    await pepperKey(config(c.env)),
    {
      ...rest,
      accountId,
      capNanoUsd: capUsd,
      expiresAtMs: expiryDays === null ? null : nowMs + expiryDays * DAY_MS,
      nowMs,
    },
    c.get('person')!.id,
  );
  if (!made) {
    const isFull = await isFullOfKeys(database(c.env), { accountId, nowMs });
    // otherwise the role was lost since the guard read it
    return isFull
      ? show(c, { typed: read.typed, faults: { name: 'too_many_keys' } })
      : problemPage(c, 'role');
  }
  await carrySecret(c, { kind: 'api_key', subject: accountId, text: made.key, note: rest.name });
  return c.redirect('/keys', 303);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const secret = await takeSecret(c, { kind: 'api_key', subject: accountId });
  const all = await listKeys(database(c.env), accountId);
  const keys = all.slice(0, KEYS_SHOWN_MAX);
  const [madeBy, ...spends] = await Promise.all([
    readMakers(c, keys, all),
    ...keys.map((key) => spendOf(c, key, nowMs)),
  ]);
  return page(
    c,
    { title: t.keys.title, status: state.faults ? 422 : 200 },
    <>
      <h1 class="mb-2">{t.keys.title}</h1>
      <p class="mb-2">{t.keys.lead}</p>
      <p class="mb-8">
        <a class="link" href="/aliases">
          {t.aliases.link}
        </a>
      </p>
      {secret && (
        <ShownSecret
          title={`${t.keys.createdTitle}: ${secret.note}`}
          text={secret.text}
          note={t.start.keyOnce}
        />
      )}
      {c.req.query('again') !== undefined && <Callout tone="warning">{t.keys.rotatedBefore}</Callout>}
      {c.req.query('full') !== undefined && <Callout tone="error">{t.faults.too_many_keys}</Callout>}
      {c.req.query('rotated') !== undefined && <Callout tone="success">{t.keys.rotated}</Callout>}
      {c.req.query('revoked') !== undefined && <Callout tone="success">{t.keys.revoked}</Callout>}
      {keys.length === 0 ? (
        <p>{t.keys.empty}</p>
      ) : (
        <KeyTable c={c} keys={keys} spends={spends} madeBy={madeBy} nowMs={nowMs} />
      )}
      {all.length > keys.length && <p class="muted mt-2 text-sm">{t.keys.shownOf(keys.length)}</p>}
      {mayWrite(c, 'keys') && <NewKeyForm c={c} typed={state.typed} faults={state.faults} />}
    </>,
  );
}

/** @returns null: the key is not active, or the Wallet does not answer. The page is useful without the spend. */
async function spendOf(c: PortalContext, key: ApiKeyRow, nowMs: number): Promise<NanoUsd | null> {
  if (keyState(key, nowMs) !== 'active') return null;
  try {
    const { accountId, id: keyId, capPeriod, lineageId } = key;
    return (await c.env.WALLET.getByName(accountId).load({ keyId, capPeriod, lineageId })).spentNanoUsd;
  } catch (error) {
    console.error(JSON.stringify({ event: 'key_spend_failed', keyId: key.id, error: describeError(error) }));
    return null;
  }
}

function KeyTable(props: {
  c: PortalContext;
  keys: readonly ApiKeyRow[];
  spends: readonly (NanoUsd | null)[];
  madeBy: MadeBy;
  nowMs: number;
}) {
  const { c, keys, spends, madeBy, nowMs } = props;
  const { t } = words(c);
  const heads = [
    t.keys.name,
    t.keys.key,
    t.keys.state,
    t.keys.created,
    t.keys.lastUsed,
    t.keys.spent,
    t.keys.limits,
    t.keys.expires,
  ];
  return (
    <Sheet label={t.keys.title}>
      <thead>
        <tr>
          {heads.map((name) => (
            <th scope="col">{name}</th>
          ))}
          <th scope="col">
            <span class="sr-only">{t.keys.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {keys.map((apiKey, index) => (
          <KeyRow c={c} apiKey={apiKey} spent={spends[index] ?? null} madeBy={madeBy} nowMs={nowMs} />
        ))}
      </tbody>
    </Sheet>
  );
}

function KeyRow(props: {
  c: PortalContext;
  apiKey: ApiKeyRow;
  spent: NanoUsd | null;
  madeBy: MadeBy;
  nowMs: number;
}) {
  const { c, apiKey, spent, madeBy, nowMs } = props;
  const { t, f } = words(c);
  const state = keyState(apiKey, nowMs);
  return (
    <tr class={state === 'active' ? undefined : 'muted'}>
      <th scope="row" class="wraps">
        <bdi>{apiKey.name}</bdi>
        {apiKey.scope === 'management' && (
          <span class="muted block text-xs font-normal">{t.keys.scopes.management}</span>
        )}
      </th>
      <td class="font-mono">{maskedApiKey(apiKey.lastFour)}</td>
      <td>
        <span class={`badge badge-sm badge-soft ${state === 'active' ? 'badge-success' : ''}`}>
          {t.keys.states[state]}
        </span>
      </td>
      <td class="wraps min-w-44">
        {f.date(apiKey.createdAtMs)}
        <bdi class="muted block text-xs">
          <span class="sr-only">{t.keys.madeBy} </span>
          {madeBy.text(apiKey)}
        </bdi>
        {apiKey.managerId !== null && (
          <span class="muted block text-xs">{t.keys.sharesCap(madeBy.keyName(apiKey.managerId))}</span>
        )}
      </td>
      <td>{apiKey.lastUsedAtMs === null ? t.keys.never : f.dateTime(apiKey.lastUsedAtMs)}</td>
      <td class="wraps">{state === 'active' ? <Spend c={c} apiKey={apiKey} spent={spent} /> : '–'}</td>
      <td class="wraps">
        {t.keys.limitsText(
          f.count(apiKey.requestsPerMinute),
          apiKey.tokensPerMinute === null ? null : f.count(apiKey.tokensPerMinute),
          f.count(apiKey.concurrency),
        )}
      </td>
      <td>{apiKey.expiresAtMs === null ? t.keys.never : f.date(apiKey.expiresAtMs)}</td>
      <td>{state === 'active' && mayWrite(c, 'keys') && <Actions c={c} apiKey={apiKey} />}</td>
    </tr>
  );
}

/** A key that has been rotated can only be revoked. */
const ACTIONS = ['rotate', 'revoke'] as const;

function Actions({ c, apiKey }: { c: PortalContext; apiKey: ApiKeyRow }) {
  const { t } = words(c);
  return (
    <span class="flex flex-col gap-1">
      {(apiKey.successorId === null ? ACTIONS : ACTIONS.slice(1)).map((action) => (
        <a
          class="link"
          href={`/keys/${apiKey.id}/${action}`}
          aria-label={`${t.keys[action]}: ${apiKey.name}`}
        >
          {t.keys[action]}
        </a>
      ))}
    </span>
  );
}

function Spend(props: { c: PortalContext; apiKey: ApiKeyRow; spent: NanoUsd | null }) {
  const { c, apiKey, spent } = props;
  const { t, f } = words(c);
  const { capNanoUsd, capPeriod } = apiKey;
  return (
    <>
      {spent === null ? t.keys.unknownSpend : <Money c={c} amount={spent} />}
      {' / '}
      {capNanoUsd === null ? t.keys.noCap : `${f.usd(capNanoUsd)} (${t.keys.periods[capPeriod]})`}
    </>
  );
}

function NewKeyForm({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const fields = { c, typed: typed ?? DEFAULTS, faults };
  return (
    <section aria-labelledby="new" class="mt-12 max-w-3xl">
      <h2 id="new" class="mb-4">
        {t.keys.newTitle}
      </h2>
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action="/keys" class="grid gap-5 sm:grid-cols-6" novalidate>
        <div class="sm:col-span-6">
          <TextField {...fields} name="name" label={t.keys.name} hint={t.keys.nameHint} required />
        </div>
        <div class="sm:col-span-6">
          <SelectField
            {...fields}
            name="scope"
            label={t.keys.scope}
            options={KEY_SCOPES.map((scope) => [scope, t.keys.scopes[scope]])}
          />
        </div>
        <div class="sm:col-span-3">
          <TextField {...fields} name="capUsd" label={t.keys.cap} hint={t.keys.capHint} inputmode="decimal" />
        </div>
        <div class="sm:col-span-3">
          <SelectField
            {...fields}
            name="capPeriod"
            label={t.keys.capPeriod}
            options={CAP_PERIODS.map((period) => [period, t.keys.periods[period]])}
          />
        </div>
        <div class="sm:col-span-3">
          <TextField
            {...fields}
            name="requestsPerMinute"
            label={t.keys.requestsPerMinute}
            inputmode="numeric"
          />
        </div>
        <div class="sm:col-span-3">
          <TextField
            {...fields}
            name="tokensPerMinute"
            label={t.keys.tokensPerMinute}
            hint={t.keys.tokensPerMinuteHint}
            inputmode="numeric"
          />
        </div>
        <div class="sm:col-span-3">
          <TextField {...fields} name="concurrency" label={t.keys.concurrency} inputmode="numeric" />
        </div>
        <div class="sm:col-span-3">
          <TextField
            {...fields}
            name="expiryDays"
            label={t.keys.expiryDays}
            hint={t.keys.expiryHint}
            inputmode="numeric"
          />
        </div>
        <div class="sm:col-span-6">
          <button class="btn btn-primary" type="submit">
            {t.keys.submit}
          </button>
        </div>
      </form>
    </section>
  );
}
