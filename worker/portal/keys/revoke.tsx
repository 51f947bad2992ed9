/**
 * The page that asks before a key is revoked, and for a management key what becomes of the keys that it made. A key of
 * another account is answered with 404.
 */
import { Hono } from 'hono';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, countMadeKeys, findKey, revokeKey, revokeManagementKey } from '../../db/keys.ts';
import { isId } from '../../domain/ids.ts';
import { readFate } from '../account/made-by-member.tsx';
import { SelectField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, typedFields } from '../frame/form.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { notFoundPage } from '../frame/not-found.tsx';
import { activeKey, ConfirmButtons, confirmKeyPage } from './confirm-key.tsx';

export const revokePage = new Hono<PortalEnv>();

revokePage.use(signedIn, allowed('keys'));

revokePage.get('/:keyId/revoke', async (c) => {
  const key = mayWrite(c, 'keys') ? await activeKey(c) : null;
  return key ? ask(c, key) : notFoundPage(c);
});

revokePage.post('/:keyId/revoke', async (c) => {
  const db = database(c.env);
  const keyId = c.req.param('keyId');
  const order = { actor: c.get('person')!.id, nowMs: Date.now() };
  const which = { accountId: c.get('accountId'), keyId };
  const key = isId('key', keyId) ? await findKey(db, which) : null;
  if (key?.scope !== 'management') {
    const revoked = key !== null && (await revokeKey(db, { ...which, ...order }));
    return revoked ? c.redirect('/keys?revoked', 303) : notFoundPage(c);
  }
  if (key.revokedAtMs !== null) return notFoundPage(c);
  const fate = readFate(await typedFields(c));
  const revoked = await revokeManagementKey(db, { manager: key, fate, ...order });
  return revoked ? c.redirect('/keys?revoked', 303) : ask(c, key, { made: 'choice' });
});

async function ask(c: PortalContext, key: ApiKeyRow, faults?: Faults) {
  const { t, f } = words(c);
  const made = key.scope === 'management' ? await countMadeKeys(database(c.env), key, Date.now()) : 0;
  return confirmKeyPage(c, {
    key,
    title: t.keys.revokeTitle(key.name),
    text: t.keys.revokeText,
    status: faults ? 422 : 200,
    form: (
      <form method="post" class="grid gap-5">
        {made > 0 && (
          <div>
            <p class="mb-3">{t.keys.madeKeys(made, f.count(made))}</p>
            <SelectField
              c={c}
              faults={faults}
              name="made"
              label={t.keys.madeKeysFate}
              options={[
                ['', t.team.madeChoose],
                ['keep', t.keys.madeKeep],
                ['end', t.keys.madeRevoke],
              ]}
            />
          </div>
        )}
        <div class="flex flex-wrap gap-3">
          <ConfirmButtons c={c} tone="btn-error" submit={t.keys.revokeSubmit} />
        </div>
      </form>
    ),
  });
}
