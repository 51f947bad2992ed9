/** A key's successor: made on the same terms, while the old one goes on for as long as the change takes. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, findKey, rotateKey } from '../../db/keys.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { isId } from '../../domain/ids.ts';
import { config } from '../../env.ts';
import { pepperKey } from '../../tokens/pepper.ts';
import { SelectField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, readForm } from '../frame/form.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { carrySecret } from '../frame/shown-once.ts';
import { keyState } from './key-state.ts';

const HOUR_MS = 3_600_000;
/** How long the old key goes on. `none`: it has leaked. */
const OVERLAPS_MS = { none: 0, hour: HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS } as const;
type Overlap = keyof typeof OVERLAPS_MS;
const OVERLAPS = ['none', 'hour', 'day', 'week'] as const satisfies readonly Overlap[];

const RotateForm = z.object({ overlap: Choice(OVERLAPS) });

export const rotatePage = new Hono<PortalEnv>();

rotatePage.use(signedIn, allowed('keys'));

rotatePage.get('/:keyId/rotate', async (c) => {
  const key = mayWrite(c, 'keys') ? await activeKey(c) : null;
  return key ? ask(c, key) : notFoundPage(c);
});

rotatePage.post('/:keyId/rotate', async (c) => {
  const row = await activeKey(c);
  if (!row) return notFoundPage(c);
  const read = await readForm(c, RotateForm);
  if (!read.ok) return ask(c, row);
  const { key } = await rotateKey(database(c.env), await pepperKey(config(c.env)), {
    row,
    overlapMs: OVERLAPS_MS[read.values.overlap],
    actor: c.get('person')!.id,
    nowMs: Date.now(),
  });
  await carrySecret(c, { kind: 'api_key', subject: row.accountId, text: key, note: row.name });
  return c.redirect('/keys?rotated', 303);
});

async function activeKey(c: PortalContext): Promise<ApiKeyRow | null> {
  const which = { accountId: c.get('accountId'), keyId: c.req.param('keyId') ?? '' };
  const key = isId('key', which.keyId) ? await findKey(database(c.env), which) : null;
  return key && keyState(key, Date.now()) === 'active' ? key : null;
}

function ask(c: PortalContext, key: ApiKeyRow) {
  const { t } = words(c);
  const title = t.keys.rotateTitle(key.name);
  return page(
    c,
    { title, narrow: true },
    <>
      <h1 class="mb-3">
        <bdi>{title}</bdi>
      </h1>
      <p class="mb-3 font-mono text-sm">{maskedApiKey(key.lastFour)}</p>
      <p class="mb-6">{t.keys.rotateText}</p>
      <form method="post" class="grid gap-5">
        <SelectField
          c={c}
          name="overlap"
          label={t.keys.overlap}
          value="day"
          options={OVERLAPS.map((each) => [each, t.keys.overlaps[each]])}
        />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {t.keys.rotateSubmit}
          </button>
          <a class="btn" href="/keys">
            {t.keys.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
