/** Batches: the list, and for each its progress, its cost, its results to download, and cancelling it. */
import { Hono } from 'hono';
import { fileContent } from '../../batches/file-content.ts';
import { type BatchRow, findBatch, isUnfinished, listBatches } from '../../db/batches.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { findFile } from '../../db/files.ts';
import { listKeys } from '../../db/keys.ts';
import { exampleModelId } from '../../domain/example-model.ts';
import { isId } from '../../domain/ids.ts';
import { nanoUsd } from '../../domain/money.ts';
import { isRoleAllowed } from '../../domain/team.ts';
import { config } from '../../env.ts';
import { Callout } from '../components/callout.tsx';
import { Money } from '../components/money.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { whileAllowed } from '../frame/long-download.ts';
import { notFoundPage } from '../frame/not-found.tsx';
import { limitDownloads } from '../frame/rate-limits.tsx';
import { BatchProgress, BatchState } from './batch-state.tsx';

const PAGE_SIZE = 25;
/** The files of a batch that the path names, and their columns. */
const FILES = { output: 'outputFileId', errors: 'errorFileId' } as const;

export const batchesPage = new Hono<PortalEnv>();

batchesPage.use(signedIn, allowed('batches'));
// models' answers are shown only to roles that may use models
batchesPage.use('/:batchId/files/*', allowed('batch_results'), limitDownloads);

batchesPage.get('/', async (c) => {
  const { t, f } = words(c);
  const db = database(c.env);
  const accountId = c.get('accountId');
  const after = c.req.query('after') ?? '';
  const afterId = isId('batch', after) ? after : null;
  const [keys, batches] = await Promise.all([
    listKeys(db, accountId),
    listBatches(db, { accountId, afterId, limit: PAGE_SIZE + 1 }),
  ]);
  const rows = batches.slice(0, PAGE_SIZE);
  const keyNames = new Map(keys.map(({ id, name }) => [id, name]));
  const names = t.batches;
  return page(
    c,
    { title: names.title },
    <>
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6 max-w-xl">{names.lead}</p>
      {rows.length === 0 ? (
        <Empty c={c} />
      ) : (
        <Sheet label={names.title}>
          <Heads
            names={[names.batch, names.state, names.progress, `#${names.charge}`, t.usage.key, names.endsBy]}
          />
          <tbody>
            {rows.map((row) => (
              <tr>
                <th scope="row" class="font-normal">
                  <a class="link font-mono" href={`/batches/${row.id}`}>
                    {row.id}
                  </a>
                  <span class="muted block">{f.dateTime(row.createdAtMs)}</span>
                </th>
                <td>
                  <BatchState c={c} row={row} />
                </td>
                <td>
                  <BatchProgress c={c} row={row} />
                </td>
                <td class="num font-mono">{f.usdColumn(nanoUsd(row.chargeNanoUsd))}</td>
                <td class="max-w-32 truncate">
                  <bdi>{keyNames.get(row.keyId) ?? t.usage.removedKey}</bdi>
                </td>
                <td>{f.dateTime(row.endedAtMs ?? row.expiresAtMs)}</td>
              </tr>
            ))}
          </tbody>
        </Sheet>
      )}
      <p class="mt-4 flex gap-6 text-sm">
        {afterId && (
          <a class="link" href="/batches">
            {names.newest}
          </a>
        )}
        {batches.length > PAGE_SIZE && (
          <a class="link" href={`/batches?after=${rows.at(-1)!.id}`}>
            {names.older}
          </a>
        )}
      </p>
    </>,
  );
});

batchesPage.get('/:batchId', async (c) => {
  const row = await batchOf(c);
  if (!row) return notFoundPage(c);
  const { t, f } = words(c);
  const names = t.batches;
  const isOpen = isUnfinished(row.state);
  return page(
    c,
    { title: names.one },
    <>
      <h1 class="mb-2">{names.one}</h1>
      <p class="mb-6 font-mono text-sm break-all">{row.id}</p>
      {row.pausedBy && isOpen && (
        <Callout tone="info">{names.pausedBy[row.pausedBy] ?? row.pausedBy}</Callout>
      )}
      {row.errors?.map(({ message, line }) => (
        <Callout tone="error">{line === null ? message : names.faultAt(f.count(line), message)}</Callout>
      ))}
      <Figures c={c} row={row} />
      <Downloads c={c} row={row} />
      <p class="flex flex-wrap gap-3">
        {isOpen && (
          <a class="btn" href={`/batches/${row.id}`}>
            {names.lookAgain}
          </a>
        )}
        {mayCancel(c, row) && (
          <a class="btn" href={`/batches/${row.id}/cancel`}>
            {names.cancel}
          </a>
        )}
        <a class="btn btn-ghost" href="/batches">
          {names.all}
        </a>
      </p>
    </>,
  );
});

batchesPage.get('/:batchId/files/:file{output|errors}', async (c) => {
  const row = await batchOf(c);
  const id = row?.[FILES[c.req.param('file') as keyof typeof FILES]];
  const accountId = c.get('accountId');
  const file = id ? await findFile(database(c.env), { id, accountId, nowMs: Date.now() }) : null;
  if (!file) return notFoundPage(c);
  const content = fileContent(c.env.FILES, file, c.executionCtx);
  const guarded = whileAllowed(c, 'batch_results', content.body!).pipeThrough(
    new FixedLengthStream(file.bytes),
  );
  const response = new Response(guarded, content);
  const name = `${row!.id}-${c.req.param('file')}.jsonl`;
  response.headers.set('content-disposition', `attachment; filename="${name}"`);
  return response;
});

batchesPage.get('/:batchId/cancel', async (c) => {
  const row = await batchOf(c);
  if (!row || !mayCancel(c, row)) return notFoundPage(c);
  const { t, f } = words(c);
  const left = row.total - row.completed - row.failed;
  return page(
    c,
    { title: t.batches.cancelTitle, narrow: true },
    <>
      <h1 class="mb-3">{t.batches.cancelTitle}</h1>
      <p class="mb-3 font-mono text-sm break-all">{row.id}</p>
      <p class="mb-6">{t.batches.cancelText(f.count(left))}</p>
      <form method="post" class="flex flex-wrap gap-3">
        <button class="btn btn-error" type="submit">
          {t.batches.cancelSubmit}
        </button>
        <a class="btn" href={`/batches/${row.id}`}>
          {t.batches.keep}
        </a>
      </form>
    </>,
  );
});

batchesPage.post('/:batchId/cancel', async (c) => {
  const row = await batchOf(c);
  if (!row) return notFoundPage(c);
  await c.env.BATCH.getByName(row.id).cancel();
  return c.redirect(`/batches/${row.id}`, 303);
});

async function batchOf(c: PortalContext): Promise<BatchRow | null> {
  const id = c.req.param('batchId') ?? '';
  return isId('batch', id) ? findBatch(database(c.env), { id, accountId: c.get('accountId') }) : null;
}

function mayCancel(c: PortalContext, { state }: BatchRow): boolean {
  return mayWrite(c, 'batches') && (state === 'validating' || state === 'in_progress');
}

function Figures({ c, row }: { c: PortalContext; row: BatchRow }) {
  const { t, f } = words(c);
  const names = t.batches;
  return (
    <dl class={TILES}>
      <Tile label={names.state} value={<BatchState c={c} row={row} />} />
      <Tile label={names.progress} value={<BatchProgress c={c} row={row} />} />
      <Tile
        label={names.charged}
        value={<Money c={c} amount={nanoUsd(row.chargeNanoUsd)} />}
        note={names.halfPrice}
      />
      <Tile
        label={isUnfinished(row.state) ? names.endsBy : names.ended}
        value={<span class="text-base">{f.dateTime(row.endedAtMs ?? row.expiresAtMs)}</span>}
        note={names.created(f.dateTime(row.createdAtMs))}
      />
    </dl>
  );
}

/** Links to the files of results and errors, for roles that may read them. */
function Downloads({ c, row }: { c: PortalContext; row: BatchRow }) {
  const names = words(c).t.batches;
  const mayRead = isRoleAllowed(c.get('memberRole'), 'read', 'batch_results');
  if (!mayRead || !(row.outputFileId || row.errorFileId)) return null;
  return (
    <ul class="mb-8 flex flex-wrap gap-x-6 gap-y-2">
      {row.outputFileId && (
        <li>
          <a class="link" href={`/batches/${row.id}/files/output`} download>
            {names.takeOutput}
          </a>
        </li>
      )}
      {row.errorFileId && (
        <li>
          <a class="link" href={`/batches/${row.id}/files/errors`} download>
            {names.takeErrors}
          </a>
        </li>
      )}
    </ul>
  );
}

async function Empty({ c }: { c: PortalContext }) {
  const { t } = words(c);
  const modelId = exampleModelId(await loadCatalogue(database(c.env)), Date.now());
  return (
    <div class="panel px-6 py-8">
      <h2 class="mb-1">{t.batches.emptyTitle}</h2>
      <p class="mb-4 max-w-xl">{t.batches.empty}</p>
      <pre class="snippet" tabindex={0}>
        {example(config(c.env).publicOrigin, modelId)}
      </pre>
    </div>
  );
}

/** Shell commands that upload a file of requests and start a batch. */
function example(origin: string, modelId: string): string {
  return `cat > lines.jsonl <<'END'
{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "${modelId}", "messages": [{"role": "user", "content": "How many primes are below 100?"}]}}
END
curl ${origin}/v1/files -H "Authorization: Bearer $TOLLGATE_API_KEY" -F purpose=batch -F file=@lines.jsonl
curl ${origin}/v1/batches -H "Authorization: Bearer $TOLLGATE_API_KEY" -H "Content-Type: application/json" \\
  -d '{"input_file_id": "file_…", "endpoint": "/v1/chat/completions", "completion_window": "24h"}'`;
}
