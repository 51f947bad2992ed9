/** The operator API's tokens: each with its scopes and end, the form for a new one, and the end of one. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { listOperatorTokens, type OperatorTokenRow, revokeOperatorToken } from '../../db/operator-tokens.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import {
  OPERATOR_SCOPES,
  OPERATOR_TOKEN_DAYS_MAX,
  OPERATOR_TOKEN_NAME,
} from '../../domain/operator-scopes.ts';
import { makeOperatorToken } from '../../identity/operator-tokens.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { ShownSecret } from '../components/shown-secret.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, fault, readForm, type Typed, Whole } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/tokens';

const TokenForm = (marks: NumberMarks) =>
  z.object({
    name: z.string(fault('operator_token_name')).regex(OPERATOR_TOKEN_NAME, fault('operator_token_name')),
    days: Whole(marks, { min: 1, max: OPERATOR_TOKEN_DAYS_MAX }),
  });

export const operatorTokensPage = new Hono<PortalEnv>();

operatorTokensPage.use(operator);

operatorTokensPage.get('/tokens', (c) => show(c, {}));

operatorTokensPage.post('/tokens', async (c) => {
  const read = await readForm(c, TokenForm);
  if (!read.ok) return show(c, read);
  const { typed } = read;
  const scopes = OPERATOR_SCOPES.filter((scope) => typed[scope] !== undefined);
  if (scopes.length === 0) return show(c, { typed, faults: { scopes: 'required' } });
  const actor = c.get('person')!.id;
  const made = await makeOperatorToken(c.env, { ...read.values, scopes, actor, nowMs: Date.now() });
  if (made === null) return show(c, { typed, faults: { name: 'operator_token_taken' } });
  await carrySecret(c, { kind: 'operator_token', subject: actor, text: made.token, note: read.values.name });
  return c.redirect(PATH, 303);
});

operatorTokensPage.post('/tokens/:tokenId/revoke', async (c) => {
  const order = { id: c.req.param('tokenId'), actor: c.get('person')!.id, nowMs: Date.now() };
  return (await revokeOperatorToken(database(c.env), order)) ? c.redirect(PATH, 303) : notFoundPage(c);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.tokens;
  const tokens = await listOperatorTokens(database(c.env));
  const fresh = await takeSecret(c, { kind: 'operator_token', subject: c.get('person')!.id });
  return page(
    c,
    { title: names.title, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6">{names.lead}</p>
      {fresh && <ShownSecret title={names.shown(fresh.note)} text={fresh.text} note={names.once} />}
      {tokens.length === 0 ? <p class="muted">{names.empty}</p> : <TokenTable c={c} tokens={tokens} />}
      <NewTokenForm c={c} {...state} />
    </>,
  );
}

function TokenTable({ c, tokens }: { c: PortalContext; tokens: readonly OperatorTokenRow[] }) {
  const { t, f } = words(c);
  const names = t.operator.tokens;
  const nowMs = Date.now();
  return (
    <Sheet label={names.title}>
      <Heads names={[names.name, names.scopes, names.used, names.end, t.keys.actions]} />
      <tbody>
        {tokens.map((token) => (
          <tr>
            <th scope="row" class="font-mono">
              {token.name} …{token.lastFour}
            </th>
            <td>{token.scopes.join(', ')}</td>
            <td>{token.lastUsedAtMs === null ? names.never : f.dateTime(token.lastUsedAtMs)}</td>
            <td>{token.revokedAtMs === null ? f.dateTime(token.expiresAtMs) : names.revoked}</td>
            <td>
              {token.revokedAtMs === null && token.expiresAtMs > nowMs && (
                <form method="post" action={`${PATH}/${token.id}/revoke`}>
                  <button class="btn btn-sm" type="submit" aria-label={names.revokeOf(token.name)}>
                    {names.revoke}
                  </button>
                </form>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

function NewTokenForm({ c, typed, faults }: { c: PortalContext; typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.tokens;
  const fields = { c, typed, faults };
  return (
    <section aria-labelledby="new" class="mt-12 max-w-3xl">
      <h2 id="new" class="mb-4">
        {names.newTitle}
      </h2>
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action={PATH} class="grid items-start gap-5 sm:grid-cols-2" novalidate>
        <TextField {...fields} name="name" label={names.name} hint={names.nameHint} required />
        <TextField {...fields} name="days" label={names.days} inputmode="numeric" required />
        <fieldset class="sm:col-span-2">
          <legend class="mb-2">{names.scopes}</legend>
          {faults?.scopes && <p class="text-error mb-2 text-sm">{names.scopesMissing}</p>}
          {OPERATOR_SCOPES.map((scope) => (
            <label class="flex items-center gap-2">
              <input
                type="checkbox"
                name={scope}
                checked={typed?.[scope] !== undefined}
                class="checkbox checkbox-sm"
              />
              {names.scope[scope]}
            </label>
          ))}
        </fieldset>
        <div class="sm:col-span-2">
          <button class="btn btn-primary" type="submit">
            {names.submit}
          </button>
        </div>
      </form>
    </section>
  );
}
