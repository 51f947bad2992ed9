/** Usage: tokens of each kind and their cost by time, key and model, read from the hourly rollup. */

import { Hono } from 'hono';
import { loadCatalogue, type Model } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { type ApiKeyRow, listKeys } from '../../db/keys.ts';
import {
  listRecentRequests,
  listUsage,
  type RecentRequest,
  type UsageFilter,
  type UsageRow,
} from '../../db/usage.ts';
import { formatUsd, nanoUsd } from '../../domain/money.ts';
import { csvFile } from '../../lib/csv.ts';
import { ChartSection } from '../components/chart/chart-section.tsx';
import { KINDS, type Kind, tokenBars } from '../components/chart/token-bars.ts';
import {
  FilterForm,
  type FilterOption,
  type FilterSelect,
  keySelect,
  modelSelect,
} from '../components/filter-form.tsx';
import { Money } from '../components/money.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { allowed, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { limitDownloads } from '../frame/rate-limits.tsx';
import { RecentRequests } from './recent-requests.tsx';
import { type Buckets, bucketsOf, isPeriod, PERIODS, type Period } from './usage-period.ts';
import { UsageTable } from './usage-table.tsx';

const RECENT_MAX = 20;

export const usagePage = new Hono<PortalEnv>();

usagePage.use(signedIn, allowed('usage'));
usagePage.use('/csv', limitDownloads);

usagePage.get('/', async (c) => {
  const { t } = words(c);
  const db = database(c.env);
  const accountId = c.get('accountId');
  const nowMs = Date.now();
  const { period, buckets, keyId, modelId, filter } = readQuery(c, nowMs);
  const [keys, catalogue, rows, recent] = await Promise.all([
    listKeys(db, accountId),
    loadCatalogue(db),
    listUsage(db, filter),
    listRecentRequests(db, { accountId, limit: RECENT_MAX }),
  ]);
  const keyNames = new Map(keys.map((key): FilterOption => [key.id, key.name]));
  return page(
    c,
    { title: t.usage.title },
    <>
      <div class="mb-6 flex flex-wrap items-end justify-between gap-x-8 gap-y-4">
        <h1>{t.usage.title}</h1>
        <Filter c={c} keys={keys} catalogue={catalogue} chosen={{ period, keyId, modelId }} />
      </div>
      {rows.length === 0 ? (
        <Empty c={c} />
      ) : (
        <>
          <Totals c={c} rows={rows} />
          <Chart c={c} rows={rows} buckets={buckets} period={period} />
          <UsageTable c={c} rows={rows} width={buckets.width} keyNames={keyNames} />
          <p class="mt-3 text-sm">
            <a class="link" href={`/usage/csv${new URL(c.req.url).search}`} download>
              {t.usage.csv}
            </a>
          </p>
        </>
      )}
      <p class="muted mt-3 text-sm">{freshness(c, recent, nowMs)}</p>
      {recent.length > 0 && <RecentRequests c={c} recent={recent} keyNames={keyNames} />}
    </>,
  );
});

/** When the page was read, and until when requests are included in it. */
function freshness(c: PortalContext, recent: readonly RecentRequest[], nowMs: number): string {
  const { t, f } = words(c);
  const readAt = f.time(nowMs);
  const lastMs = recent.reduce((last, { event }) => Math.max(last, event.endedAtMs), 0);
  return lastMs === 0 ? t.usage.fresh(readAt) : t.usage.freshUntil(readAt, f.dateTime(lastMs));
}

/** All rows of the period as CSV, also those that the page leaves out. Keys' names are escaped, as all texts in a CSV. */
usagePage.get('/csv', async (c) => {
  const db = database(c.env);
  const { filter } = readQuery(c, Date.now());
  const [keys, rows] = await Promise.all([listKeys(db, filter.accountId), listUsage(db, filter)]);
  const names = new Map(keys.map(({ id, name }) => [id, name]));
  const data = rows.map((row) => ({
    start: new Date(row.bucketMs).toISOString(),
    key_id: row.keyId,
    key: names.get(row.keyId) ?? '',
    model: row.modelId,
    requests: row.requests,
    cached_tokens: row.cachedTokens,
    uncached_tokens: row.uncachedTokens,
    reasoning_tokens: row.reasoningTokens,
    answer_tokens: row.answerTokens,
    charge_usd: formatUsd(nanoUsd(row.chargeNanoUsd)),
    charge_nano_usd: row.chargeNanoUsd,
    cache_saving_nano_usd: row.cacheSavingNanoUsd,
  }));
  return csvFile({ name: 'tollgate-usage.csv', fields: CSV_FIELDS, data });
});

const CSV_FIELDS = [
  'start',
  'key_id',
  'key',
  'model',
  'requests',
  'cached_tokens',
  'uncached_tokens',
  'reasoning_tokens',
  'answer_tokens',
  'charge_usd',
  'charge_nano_usd',
  'cache_saving_nano_usd',
] as const;

/** Reads the page's query. What is missing or wrong means everything of the last day. */
function readQuery(c: PortalContext, nowMs: number) {
  const periodText = c.req.query('period');
  const period: Period = isPeriod(periodText) ? periodText : '24h';
  const buckets = bucketsOf(period, nowMs);
  const { fromMs, bucketMs } = buckets;
  const keyId = c.req.query('key') || null;
  const modelId = c.req.query('model') || null;
  const filter: UsageFilter = { accountId: c.get('accountId'), fromMs, bucketMs, keyId, modelId };
  return { period, buckets, keyId, modelId, filter };
}

function Filter(props: {
  c: PortalContext;
  keys: readonly ApiKeyRow[];
  catalogue: readonly Model[];
  chosen: { period: Period; keyId: string | null; modelId: string | null };
}) {
  const { c, keys, catalogue, chosen } = props;
  const { t } = words(c);
  const selects: FilterSelect[] = [
    {
      name: 'period',
      label: t.usage.period,
      value: chosen.period,
      options: PERIODS.map((each): FilterOption => [each, t.usage.periods[each]]),
    },
    keySelect(c, keys, chosen.keyId),
    modelSelect(c, catalogue, chosen.modelId),
  ];
  return <FilterForm c={c} selects={selects} class="w-full sm:w-auto" />;
}

/** One cent in nano-USD. */
const CENT = 10_000_000;

function Totals({ c, rows }: { c: PortalContext; rows: readonly UsageRow[] }) {
  const { t, f } = words(c);
  const sum = (value: (row: UsageRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  const cached = sum((row) => row.cachedTokens);
  const input = cached + sum((row) => row.uncachedTokens);
  const reasoning = sum((row) => row.reasoningTokens);
  const output = reasoning + sum((row) => row.answerTokens);
  const charged = sum((row) => row.chargeNanoUsd);
  const saved = sum((row) => row.cacheSavingNanoUsd);
  const percentOf = (part: number, whole: number) => f.percent(whole === 0 ? 0 : part / whole);
  return (
    <dl class={TILES}>
      <Tile label={t.usage.charge} value={<Money c={c} amount={nanoUsd(charged)} />} />
      <Tile label={t.usage.requests} value={f.count(sum((row) => row.requests))} />
      <Tile
        label={t.usage.inputTokens}
        value={f.shortCount(input)}
        note={t.usage.fromCache(percentOf(cached, input), saved < CENT ? f.usdSmall(saved) : f.usd(saved))}
      />
      <Tile
        label={t.usage.outputTokens}
        value={f.shortCount(output)}
        note={t.usage.ofReasoning(percentOf(reasoning, output))}
      />
    </dl>
  );
}

function Chart(props: { c: PortalContext; rows: readonly UsageRow[]; buckets: Buckets; period: Period }) {
  const { c, rows, buckets, period } = props;
  const { t, f } = words(c);
  const bars = buckets.starts.map((startMs) => {
    const bucketRows = rows.filter((row) => row.bucketMs === startMs);
    const sum = (kind: Kind) => bucketRows.reduce((total, row) => total + row[`${kind}Tokens`], 0);
    return {
      label: f.bucket(startMs, buckets.width),
      cached: sum('cached'),
      uncached: sum('uncached'),
      reasoning: sum('reasoning'),
      answer: sum('answer'),
    };
  });
  const total = bars.reduce((all, bar) => all + KINDS.reduce((sum, kind) => sum + bar[kind], 0), 0);
  const texts = { kinds: t.usage.kinds, shortCount: f.shortCount };
  return (
    <ChartSection
      title={t.usage.chartTitle[buckets.width]}
      label={t.usage.chartLabel(t.usage.periods[period], f.count(total))}
      legend={KINDS.map((kind) => ({ name: t.usage.kinds[kind], color: `var(--chart-${kind})` }))}
      draw={(size) => tokenBars(bars, texts, size)}
    />
  );
}

function Empty({ c }: { c: PortalContext }) {
  const { t } = words(c);
  return (
    <div class="panel px-6 py-8">
      <h2 class="mb-1">{t.usage.emptyTitle}</h2>
      <p class="mb-4 max-w-xl">{t.usage.empty}</p>
      <a href="/start" class="btn btn-primary">
        {t.usage.emptyCall}
      </a>
    </div>
  );
}
