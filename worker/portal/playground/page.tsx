/**
 * The playground: a conversation with a model that shows the cost of each answer. This page provides the choice of
 * models and keys and makes tokens; the script in client/ does the rest, over the same public API as every customer.
 */
import { Hono } from 'hono';
import { raw } from 'hono/html';
import * as z from 'zod';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, findKey, listKeys } from '../../db/keys.ts';
import { isId } from '../../domain/ids.ts';
import { onSale } from '../../domain/model-end.ts';
import { type NanoUsd, nanoUsd, usd } from '../../domain/money.ts';
import { config } from '../../env.ts';
import { unservedModels } from '../../gateway/unserved-models.ts';
import { mintClientToken } from '../../http/client-token.ts';
import { Callout } from '../components/callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { readForm } from '../frame/form.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { keyState } from '../keys/key-state.ts';
import { DATA_ID, type PlaygroundData, type PlaygroundToken, ROOT_ID } from './client/data.ts';

const TOKEN_LIFETIME_S = 15 * 60;
/** The cap of a token, and so the most that one leaked from the page could cost. */
const TOKEN_CAP = usd(1);
/** Only the newest keys are offered, because a select of hundreds would be of no use. */
const KEYS_SHOWN_MAX = 50;

export const playgroundPage = new Hono<PortalEnv>();

playgroundPage.use(signedIn, allowed('playground'));

playgroundPage.get('/', async (c) => {
  const { t } = words(c);
  const db = database(c.env);
  const nowMs = Date.now();
  const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
  const [all, models] = await Promise.all([listKeys(db, c.get('accountId')), loadCatalogue(db)]);
  const sold = onSale(models, nowMs);
  const unserved = await unservedModels(c.env, sold, { nowMs, waitUntil });
  // The first one is chosen at first, so it should be one that answers.
  const catalogue = sold.toSorted((a, b) => Number(unserved.has(a.id)) - Number(unserved.has(b.id)));
  const keys = all.filter((key) => mayPay(key, nowMs)).slice(0, KEYS_SHOWN_MAX);
  return page(
    c,
    { title: t.playground.title },
    <>
      <h1 class="mb-2">{t.playground.title}</h1>
      <p class="mb-6 max-w-3xl">{t.playground.lead}</p>
      {keys.length === 0 ? (
        <div class="panel px-5 py-4">
          <p class="mb-3">{t.playground.noKey}</p>
          <a href="/keys#new" class="btn btn-primary">
            {t.playground.makeKey}
          </a>
        </div>
      ) : (
        <>
          <noscript>
            <Callout tone="info">
              {t.playground.needsScript}{' '}
              <a class="link" href="/start">
                {t.nav.start}
              </a>
              .
            </Callout>
          </noscript>
          {/* as high as the script's content, so that the footer does not move when it loads */}
          <div id={ROOT_ID} class="min-h-[80rem] lg:min-h-[44rem]" />
          <script id={DATA_ID} type="application/json">
            {raw(
              jsonInPage({
                locale: c.get('locale'),
                baseUrl: `${config(c.env).publicOrigin}/v1`,
                models: catalogue.map(({ id, name, outputTokensMax, outputTokensDefault }) => ({
                  id,
                  name: unserved.has(id) ? t.playground.notServed(name) : name,
                  outputTokensMax,
                  outputTokensDefault,
                })),
                keys: keys.map(({ id, name, lastFour }) => ({ id, name: `${name} …${lastFour}` })),
                phrases: t.playground.island,
              }),
            )}
          </script>
          <script type="module" src="/playground.js"></script>
        </>
      )}
    </>,
  );
});

const TokenForm = z.object({ keyId: z.string() });

/** Makes a token for the page's script. Only active inference keys of the account may pay for one; others give 404. */
playgroundPage.post('/token', async (c) => {
  const read = await readForm(c, TokenForm);
  const key = read.ok ? await findPayingKey(c, read.values.keyId, Date.now()) : null;
  if (!key) return c.json({ error: { message: words(c).t.playground.keyNotFound } }, 404);
  const { token, expiresAtMs } = await mintClientToken(config(c.env), {
    key,
    models: null,
    cap: capOf(key),
    lifetimeS: TOKEN_LIFETIME_S,
    by: { person: c.get('person')!.id, session: c.get('sessionId') },
    nowMs: Date.now(),
  });
  return c.json({ token, expiresAtMs } satisfies PlaygroundToken);
});

async function findPayingKey(c: PortalContext, keyId: string, nowMs: number): Promise<ApiKeyRow | null> {
  if (!isId('key', keyId)) return null;
  const key = await findKey(database(c.env), { accountId: c.get('accountId'), keyId });
  return key && mayPay(key, nowMs) ? key : null;
}

function mayPay(key: ApiKeyRow, nowMs: number): boolean {
  return key.scope === 'inference' && keyState(key, nowMs) === 'active';
}

/** The token's cap, which must exceed 0. For a key with a cap of 0 it is 1 nano-USD; the key's own cap refuses requests. */
function capOf({ capNanoUsd }: ApiKeyRow): NanoUsd {
  return nanoUsd(Math.max(1, Math.min(TOKEN_CAP, capNanoUsd ?? TOKEN_CAP)));
}

/** JSON for a `<script>` element. A `<` in the data, such as in a key's name, is escaped, as it could end the element. */
function jsonInPage(data: PlaygroundData): string {
  return JSON.stringify(data).replaceAll('<', '\\u003c');
}
