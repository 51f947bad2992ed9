/** The question before a key is revoked, as a page of its own. Another account's key is no key here. */
import { Hono } from 'hono';
import { database } from '../../db/client.ts';
import { findKey, revokeKey } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { isId } from '../../domain/ids.ts';
import { type PortalEnv, words } from '../frame/context.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { keyState } from './key-state.ts';

export const revokePage = new Hono<PortalEnv>();

revokePage.use(signedIn, allowed('keys'));

revokePage.get('/:keyId/revoke', async (c) => {
  const { t } = words(c);
  const which = { accountId: c.get('accountId'), keyId: c.req.param('keyId') };
  const key = mayWrite(c, 'keys') && isId('key', which.keyId) ? await findKey(database(c.env), which) : null;
  if (!key || keyState(key, Date.now()) !== 'active') return notFoundPage(c);
  const title = t.keys.revokeTitle(key.name);
  return page(
    c,
    { title, narrow: true },
    <>
      <h1 class="mb-3">
        <bdi>{title}</bdi>
      </h1>
      <p class="mb-3 font-mono text-sm">{maskedApiKey(key.lastFour)}</p>
      <p class="mb-6">{t.keys.revokeText}</p>
      <form method="post" class="flex flex-wrap gap-3">
        <button class="btn btn-error" type="submit">
          {t.keys.revokeSubmit}
        </button>
        <a class="btn" href="/keys">
          {t.keys.cancel}
        </a>
      </form>
    </>,
  );
});

revokePage.post('/:keyId/revoke', async (c) => {
  const keyId = c.req.param('keyId');
  const request = { accountId: c.get('accountId'), keyId, actor: c.get('person')!.id, nowMs: Date.now() };
  if (!isId('key', keyId) || !(await revokeKey(database(c.env), request))) return notFoundPage(c);
  return c.redirect('/keys?revoked', 303);
});
