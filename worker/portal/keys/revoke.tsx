/** The page that asks before a key is revoked. A key of another account is answered with 404. */
import { Hono } from 'hono';
import { database } from '../../db/client.ts';
import { revokeKey } from '../../db/keys.ts';
import { isId } from '../../domain/ids.ts';
import { type PortalEnv, words } from '../frame/context.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { notFoundPage } from '../frame/not-found.tsx';
import { activeKey, ConfirmButtons, confirmKeyPage } from './confirm-key.tsx';

export const revokePage = new Hono<PortalEnv>();

revokePage.use(signedIn, allowed('keys'));

revokePage.get('/:keyId/revoke', async (c) => {
  const { t } = words(c);
  const key = mayWrite(c, 'keys') ? await activeKey(c) : null;
  if (!key) return notFoundPage(c);
  return confirmKeyPage(c, {
    key,
    title: t.keys.revokeTitle(key.name),
    text: t.keys.revokeText,
    form: (
      <form method="post" class="flex flex-wrap gap-3">
        <ConfirmButtons c={c} tone="btn-error" submit={t.keys.revokeSubmit} />
      </form>
    ),
  });
});

revokePage.post('/:keyId/revoke', async (c) => {
  const keyId = c.req.param('keyId');
  const request = { accountId: c.get('accountId'), keyId, actor: c.get('person')!.id, nowMs: Date.now() };
  if (!isId('key', keyId) || !(await revokeKey(database(c.env), request))) return notFoundPage(c);
  return c.redirect('/keys?revoked', 303);
});
