/** Start: sample requests with the new key filled in, and a tick as soon as the first request has arrived. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, listKeys } from '../../db/keys.ts';
import { firstRequestAtMs } from '../../db/usage.ts';
import { maskedApiKey } from '../../domain/api-key.ts';
import { exampleModelId } from '../../domain/example-model.ts';
import { config } from '../../env.ts';
import { examples } from '../../examples/examples.ts';
import { ShownSecret } from '../components/shown-secret.tsx';
import { TrialCallout } from '../components/trial-callout.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { takeSecret } from '../frame/shown-once.ts';
import { keyState } from './key-state.ts';

/** Reload interval of the tick. Usage reaches D1 within a second of a request's end, so the tick appears within five. */
const TICK_REFRESH_S = 3;

export const startPage = new Hono<PortalEnv>();

startPage.use(signedIn);

startPage.get('/', async (c) => {
  const { t } = words(c);
  const accountId = c.get('accountId');
  const secret = await takeSecret(c, { kind: 'api_key', subject: accountId });
  const db = database(c.env);
  const [keys, models] = await Promise.all([listKeys(db, accountId), loadCatalogue(db)]);
  const modelId = exampleModelId(models, Date.now());
  const mine = keys.find((key) => isUsableBy(key, c.get('person')!.id, Date.now()));
  const baseUrl = `${config(c.env).publicOrigin}/v1`;
  return page(
    c,
    { title: t.start.title },
    <>
      <h1 class="mb-2">{t.start.title}</h1>
      <p class="mb-8">{t.start.lead}</p>
      <TrialCallout c={c} />
      <div class="grid gap-10 lg:grid-cols-[minmax(0,1fr)_18rem]">
        <div class="min-w-0">
          {secret && <ShownSecret title={t.start.keyTitle} text={secret.text} note={t.start.keyOnce} />}
          {!secret && mine && <p class="mb-6">{t.start.keyElsewhere(maskedApiKey(mine.lastFour))}</p>}
          {!secret && !mine && <NoKey c={c} />}
          <Snippets c={c} baseUrl={baseUrl} modelId={modelId} apiKey={secret?.text ?? null} />
        </div>
        <aside class="grid content-start gap-6">
          <section aria-labelledby="tick">
            <h2 id="tick" class="mb-2">
              {t.start.tickTitle}
            </h2>
            <iframe src="/start/first-request" title={t.start.tickTitle} class="panel h-24 w-full" />
          </section>
          <dl class="grid gap-3 text-sm">
            <div>
              <dt class="muted">{t.start.baseUrl}</dt>
              <dd class="font-mono break-all select-all">{baseUrl}</dd>
            </div>
            <div>
              <dt class="muted">{t.start.model}</dt>
              <dd class="font-mono select-all">{modelId}</dd>
            </div>
          </dl>
        </aside>
      </div>
    </>,
  );
});

/** A key of a colleague is no use to this person, who has never seen it, and a management key asks no model. */
function isUsableBy(key: ApiKeyRow, personId: string, nowMs: number): boolean {
  const holder = key.keptBy ?? key.createdBy ?? personId;
  return holder === personId && key.scope === 'inference' && keyState(key, nowMs) === 'active';
}

function NoKey({ c }: { c: PortalContext }) {
  const { start } = words(c).t;
  return (
    <div class="panel mb-6 px-5 py-4">
      {mayWrite(c, 'keys') ? (
        <>
          <p class="mb-3">{start.noKey}</p>
          <a href="/keys#new" class="btn btn-primary">
            {start.makeKey}
          </a>
        </>
      ) : (
        <p>{start.noKeyRole}</p>
      )}
    </div>
  );
}

/** A framed page that reloads itself, so that the page around it, with the key shown once, stays as it is. */
startPage.get('/first-request', async (c) => {
  const { t, f, locale } = words(c);
  const receivedAtMs = await firstRequestAtMs(database(c.env), c.get('accountId'));
  const response = await c.html(
    html`<!doctype html>${(
      <html lang={locale} class="bg-base-200">
        <head>
          <meta charset="utf-8" />
          <meta name="color-scheme" content="light dark" />
          {receivedAtMs === null && <meta http-equiv="refresh" content={String(TICK_REFRESH_S)} />}
          <title>{t.start.tickTitle}</title>
          <link rel="stylesheet" href="/app.css" />
        </head>
        <body class="bg-base-200 px-4 py-4 text-sm text-base-content">
          {receivedAtMs === null ? (
            <p class="flex items-center gap-2.5">
              <span class="size-2 rounded-full bg-accent motion-safe:animate-pulse" aria-hidden="true" />
              {t.start.waiting}
            </p>
          ) : (
            <p role="status">
              <span class="font-semibold text-success">✓ {t.start.received(f.dateTime(receivedAtMs))}</span>
              <br />
              <a class="link" href="/usage" target="_top">
                {t.start.seeUsage}
              </a>
            </p>
          )}
        </body>
      </html>
    )}`,
  );
  return response;
});

function Snippets(props: { c: PortalContext; baseUrl: string; modelId: string; apiKey: string | null }) {
  const { c, baseUrl, modelId, apiKey } = props;
  const { t } = words(c);
  const snippets = examples({ baseUrl, model: modelId, question: t.start.question, key: apiKey });
  return (
    <section aria-labelledby="snippets">
      <h2 id="snippets" class="sr-only">
        {t.start.snippets}
      </h2>
      <div class="tabs tabs-border">
        {snippets.map(({ id, name, code }, index) => (
          <>
            <input type="radio" name="snippet" class="tab" aria-label={name} checked={index === 0} />
            <section class="tab-content pt-4" aria-label={name} data-snippet={id}>
              <pre class="snippet" tabindex={0}>
                <code>{code}</code>
              </pre>
            </section>
          </>
        ))}
      </div>
    </section>
  );
}
