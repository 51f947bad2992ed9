/** Rotates a key: makes a successor on the same terms, while the old key stays valid for a chosen time. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, isFullOfKeys, rotateKey } from '../../db/keys.ts';

import { config } from '../../env.ts';
import { pepperKey } from '../../tokens/pepper.ts';
import { SelectField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, readForm } from '../frame/form.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { notFoundPage } from '../frame/not-found.tsx';
import { carrySecret } from '../frame/shown-once.ts';
import { activeKey, ConfirmButtons, confirmKeyPage } from './confirm-key.tsx';

const HOUR_MS = 3_600_000;
/** How long the old key stays valid. `none` is for a key that has leaked. */
const OVERLAPS_MS = { none: 0, hour: HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS } as const;
type Overlap = keyof typeof OVERLAPS_MS;
const OVERLAPS = ['none', 'hour', 'day', 'week'] as const satisfies readonly Overlap[];

const RotateForm = z.object({ overlap: Choice(OVERLAPS) });

export const rotatePage = new Hono<PortalEnv>();

rotatePage.use(signedIn, allowed('keys'));

rotatePage.get('/:keyId/rotate', async (c) => {
  const key = mayWrite(c, 'keys') ? await activeKey(c) : null;
  if (!key) return notFoundPage(c);
  return key.successorId === null ? ask(c, key) : c.redirect('/keys?again', 303);
});

rotatePage.post('/:keyId/rotate', async (c) => {
  const row = await activeKey(c);
  if (!row) return notFoundPage(c);
  if (row.successorId !== null) return c.redirect('/keys?again', 303);
  const read = await readForm(c, RotateForm);
  if (!read.ok) return ask(c, row);
  const db = database(c.env);
  const nowMs = Date.now();
  const made = await rotateKey(db, await pepperKey(config(c.env)), {
    row,
    overlapMs: OVERLAPS_MS[read.values.overlap],
    actor: c.get('person')!.id,
    nowMs,
  });
  if (!made) {
    const isFull = await isFullOfKeys(db, { accountId: row.accountId, nowMs });
    // otherwise another form, or a second click, has rotated or revoked it since it was read
    return c.redirect(isFull ? '/keys?full' : '/keys?again', 303);
  }
  await carrySecret(c, { kind: 'api_key', subject: row.accountId, text: made.key, note: row.name });
  return c.redirect('/keys?rotated', 303);
});

function ask(c: PortalContext, key: ApiKeyRow) {
  const { t } = words(c);
  return confirmKeyPage(c, {
    key,
    title: t.keys.rotateTitle(key.name),
    text: t.keys.rotateText,
    form: (
      <form method="post" class="grid gap-5">
        <SelectField
          c={c}
          name="overlap"
          label={t.keys.overlap}
          value="day"
          options={OVERLAPS.map((each) => [each, t.keys.overlaps[each]])}
        />
        <div class="flex flex-wrap gap-3">
          <ConfirmButtons c={c} tone="btn-primary" submit={t.keys.rotateSubmit} />
        </div>
      </form>
    ),
  });
}
