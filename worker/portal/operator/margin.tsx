/** The operator's margins: revenue and cost of nodes, the form for an hour's cost, and a planner. */
import { Hono } from 'hono';
import * as z from 'zod';
import { type MarginCell, type Margins, NODES_MAX, readMargins } from '../../billing/margin.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { addNodeCost, listMarginNodes, type MarginNode } from '../../db/margin.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { isId } from '../../domain/ids.ts';
import { type MarginSums, marginFigures, sumMargins } from '../../domain/margin.ts';
import { formatUsd, nanoUsd } from '../../domain/money.ts';
import { csvFile } from '../../lib/csv.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { FilterForm, type FilterOption } from '../components/filter-form.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, fault, readForm, type Typed, Usd } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { limitDownloads } from '../frame/rate-limits.tsx';
import { bucketsOf, isPeriod, PERIODS, type Period } from '../usage/usage-period.ts';
import { gpusOf, hardwareName } from './hardware-names.ts';
import { MarginChart } from './margin-chart.tsx';
import { MarginPlanner } from './margin-planner.tsx';
import { MarginTable } from './margin-table.tsx';
import { operatorNav } from './operator-nav.tsx';

const PATH = '/operator/margin';

const CostForm = (marks: NumberMarks) => z.object({ node: z.string(fault('choice')), gpuHour: Usd(marks) });

export const marginPage = new Hono<PortalEnv>();

marginPage.use(operator);
marginPage.use('/margin.csv', limitDownloads);

marginPage.get('/margin', (c) => show(c, {}));

marginPage.post('/margin', async (c) => {
  const read = await readForm(c, CostForm);
  if (!read.ok) return show(c, read);
  const db = database(c.env);
  const nowMs = Date.now();
  const which = { fromMs: nowMs, nodeId: read.values.node, limit: 1, offset: 0 };
  const [node] = isId('node', read.values.node) ? await listMarginNodes(db, which) : [];
  const gpus = node ? gpusOf(node.hardware) : 0;
  if (!node || gpus === 0) return show(c, { typed: read.typed, faults: { node: 'choice' } });
  const { gpuHour } = read.values;
  const detail = { name: node.name, usd_per_gpu_hour: formatUsd(gpuHour), gpus };
  await addNodeCost(
    db,
    { nodeId: node.id, fromMs: nowMs, hourNanoUsd: gpuHour * gpus },
    { atMs: nowMs, actor: c.get('person')!.id, action: 'node.cost_set', subject: node.id, detail },
  );
  return c.redirect(`${PATH}?saved=${node.id}`, 303);
});

marginPage.get('/margin.csv', async (c) => {
  const { margins } = await readQuery(c, Date.now());
  const data = margins.cells.map(csvRow);
  return csvFile({ name: 'tollgate-margin.csv', fields: CSV_COLUMNS, data });
});

/** Reads the margins that the query selects by `period`, `node` and `page`. */
async function readQuery(c: PortalContext, nowMs: number) {
  const periodText = c.req.query('period');
  const period: Period = isPeriod(periodText) ? periodText : '24h';
  const buckets = bucketsOf(period, nowMs);
  const nodeId = c.req.query('node') || null;
  const pageText = c.req.query('page') ?? '';
  const pageIndex = /^\d{1,6}$/.test(pageText) ? Number(pageText) : 0;
  const margins = await readMargins(c.env, { ...buckets, nodeId, page: pageIndex, nowMs, gpusOf });
  return { period, buckets, nodeId, pageIndex, margins };
}

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.margin;
  const nowMs = Date.now();
  const [{ period, buckets, nodeId, pageIndex, margins }, catalogue] = await Promise.all([
    readQuery(c, nowMs),
    loadCatalogue(database(c.env)),
  ]);
  const { nodes, cells } = margins;
  if (nodes.length === 0 && (nodeId !== null || pageIndex > 0)) return notFoundPage(c);
  const periods = PERIODS.map((each): FilterOption => [each, t.usage.periods[each]]);
  const saved = nodes.find(({ id }) => id === c.req.query('saved'));
  const total = sumMargins(cells.map(({ sums }) => sums));
  const address = (more: Record<string, string>) =>
    queryOf({ period, node: nodeId, page: String(pageIndex), ...more });
  return page(
    c,
    { title: names.title, status: state.faults ? 422 : 200, back: `${PATH}${address({})}` },
    <>
      {await operatorNav(c, PATH)}
      <div class="mb-6 flex flex-wrap items-end justify-between gap-x-8 gap-y-4">
        <div>
          <h1 class="mb-2">{names.title}</h1>
          <p>{names.lead}</p>
        </div>
        <FilterForm
          c={c}
          selects={[{ name: 'period', label: names.period, value: period, options: periods }]}
          class="w-full sm:w-auto"
        />
      </div>
      {saved && <Saved c={c} node={saved} />}
      {nodes.length === 0 ? (
        <Empty c={c} />
      ) : (
        <>
          {total.coveredMs === 0 && !saved && <Callout tone="info">{names.noCost}</Callout>}
          <Totals c={c} sums={total} />
          {total.chargeNanoUsd + total.costNanoUsd > 0 && (
            <MarginChart
              c={c}
              width={buckets.width}
              period={t.usage.periods[period]}
              buckets={buckets.starts.map((startMs) => ({ startMs, sums: sumWhere(cells, { startMs }) }))}
            />
          )}
          <Tables c={c} margins={margins} width={buckets.width} period={period} />
          <p class="mb-4 flex flex-wrap gap-x-5 gap-y-1 text-sm">
            {nodeId !== null && <Link href={`${PATH}${queryOf({ period })}`} text={names.allNodes} />}
            {pageIndex > 0 && (
              <Link href={`${PATH}${address({ page: String(pageIndex - 1) })}`} text={names.nodesBefore} />
            )}
            {margins.hasMore && (
              <Link href={`${PATH}${address({ page: String(pageIndex + 1) })}`} text={names.nodesAfter} />
            )}
            <Link href={`${PATH}.csv${address({})}`} text={names.csv} />
          </p>
          <Notes c={c} isPaged={pageIndex > 0 || margins.hasMore} />
          <CostSection c={c} nodes={nodes} {...state} />
        </>
      )}
      <MarginPlanner c={c} catalogue={catalogue} period={period} nowMs={nowMs} />
    </>,
  );
}

/** The query of a page of margins; defaults are left out. */
function queryOf(fields: { period: string; node?: string | null; page?: string }): string {
  const query = new URLSearchParams({ period: fields.period });
  if (fields.node) query.set('node', fields.node);
  if (fields.page && fields.page !== '0') query.set('page', fields.page);
  return `?${query}`;
}

/** The sum of the cells of one bucket or one node. */
function sumWhere(cells: readonly MarginCell[], where: { startMs?: number; nodeId?: string }): MarginSums {
  const { startMs, nodeId } = where;
  const chosen = cells.filter(
    ({ bucketMs, node }) =>
      (startMs === undefined || bucketMs === startMs) && (nodeId === undefined || node.id === nodeId),
  );
  return sumMargins(chosen.map(({ sums }) => sums));
}

function Link({ href, text }: { href: string; text: string }) {
  return (
    <a class="link" href={href}>
      {text}
    </a>
  );
}

/** Totals to the cent, so that a month of many nodes fits on a phone; the tables are exact. */
function Totals({ c, sums }: { c: PortalContext; sums: MarginSums }) {
  const { t, f } = words(c);
  const names = t.margin;
  const { costNanoUsd, marginNanoUsd, marginGpuHourNanoUsd: perHour } = marginFigures(sums);
  return (
    <dl class={TILES}>
      <Tile label={names.revenue} value={f.usd(sums.chargeNanoUsd)} />
      <Tile label={names.granted} value={f.usd(sums.grantedNanoUsd)} />
      <Tile label={names.cost} value={costNanoUsd === null ? names.costNotSet : f.usd(costNanoUsd)} />
      <Tile
        label={names.margin}
        value={marginNanoUsd === null ? '–' : f.usd(marginNanoUsd)}
        note={perHour === null ? undefined : `${f.usd(perHour)} ${names.perGpuHour}`}
      />
    </dl>
  );
}

function Tables(props: { c: PortalContext; margins: Margins; width: 'hour' | 'day'; period: Period }) {
  const { c, margins, width, period } = props;
  const { t, f } = words(c);
  const names = t.margin;
  const formatStart = width === 'hour' ? f.dateTime : f.date;
  const starts = [...new Set(margins.cells.map(({ bucketMs }) => bucketMs))].sort((a, b) => b - a);
  return (
    <>
      <MarginTable
        c={c}
        id="by-bucket"
        title={names.bucketTitle[width]}
        heads={[t.usage.when[width]]}
        rows={starts.map((startMs) => ({
          head: formatStart(startMs),
          sums: sumWhere(margins.cells, { startMs }),
        }))}
      />
      <MarginTable
        c={c}
        id="by-node"
        title={names.nodeTitle}
        heads={[names.node, t.pool.hardware, names.costNow]}
        rows={margins.nodes.map((node) => ({
          head: <Link href={`${PATH}${queryOf({ period, node: node.id })}`} text={node.name} />,
          more: (
            <>
              <td>{hardwareName(node.hardware)}</td>
              <td>{costNow(c, node)}</td>
            </>
          ),
          sums: sumWhere(margins.cells, { nodeId: node.id }),
        }))}
      />
    </>
  );
}

function lastCost(node: MarginNode): number | null {
  return [...node.costs].sort((a, b) => b.fromMs - a.fromMs)[0]?.hourNanoUsd ?? null;
}

function costNow(c: PortalContext, node: MarginNode): string {
  const { t, f } = words(c);
  const hour = lastCost(node);
  return hour === null ? t.margin.costNotSet : f.usd(hour / gpusOf(node.hardware));
}

function Notes({ c, isPaged }: { c: PortalContext; isPaged: boolean }) {
  const { t, f } = words(c);
  return (
    <div class="muted mb-10 grid max-w-3xl gap-1 text-sm">
      {t.margin.notes.map((note) => (
        <p>{note}</p>
      ))}
      {isPaged && <p>{t.margin.pageNote(f.count(NODES_MAX))}</p>}
    </div>
  );
}

function CostSection(props: {
  c: PortalContext;
  nodes: readonly MarginNode[];
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, nodes, ...fields } = props;
  const { t, f } = words(c);
  const names = t.margin;
  const options = nodes
    .filter(({ removedAtMs }) => removedAtMs === null)
    .map(({ id, name, hardware }): FilterOption => [id, names.costGpus(name, f.count(gpusOf(hardware)))]);
  return (
    <section aria-labelledby="cost" class="mb-12 max-w-3xl">
      <h2 id="cost" class="mb-1">
        {names.costTitle}
      </h2>
      <p class="muted mb-4 text-sm">{names.costNote}</p>
      <form method="post" action={PATH} class="grid items-start gap-5 sm:grid-cols-2" novalidate>
        <SelectField c={c} {...fields} name="node" label={names.costNode} options={options} />
        <TextField c={c} {...fields} name="gpuHour" label={names.costPrice} inputmode="decimal" required />
        <div class="sm:col-span-2">
          <button class="btn btn-primary" type="submit">
            {names.costSubmit}
          </button>
        </div>
      </form>
    </section>
  );
}

function Saved({ c, node }: { c: PortalContext; node: MarginNode }) {
  const { t, f } = words(c);
  const hour = lastCost(node);
  return hour === null ? null : (
    <Callout tone="success">{t.margin.costSaved(node.name, f.usd(hour))}</Callout>
  );
}

function Empty({ c }: { c: PortalContext }) {
  const { t } = words(c);
  return (
    <div class="panel mb-10 px-6 py-8">
      <h2 class="mb-1">{t.margin.emptyTitle}</h2>
      <p class="mb-4 max-w-xl">{t.margin.empty}</p>
      <a href="/operator/pool#join" class="btn btn-primary">
        {t.margin.emptyCall}
      </a>
    </div>
  );
}

const CSV_COLUMNS = [
  'start',
  'node_id',
  'node',
  'model',
  'hardware',
  'gpus',
  'requests',
  'output_tokens',
  'revenue_usd',
  'granted_usd',
  'cost_usd',
  'margin_usd',
  'margin_per_gpu_hour_usd',
  'output_tokens_per_second',
  'break_even_tokens_per_second',
  'idle',
  'written_off_tokens',
] as const;

/** One row of the CSV; unknown values are empty. Amounts are numbers: a text with a minus would be escaped as a formula. */
function csvRow({
  node,
  bucketMs,
  sums,
}: MarginCell): Record<(typeof CSV_COLUMNS)[number], string | number | null> {
  const figures = marginFigures(sums);
  const usd = (nano: number | null) => (nano === null ? null : Number(formatUsd(nanoUsd(nano))));
  return {
    start: new Date(bucketMs).toISOString(),
    node_id: node.id,
    node: node.name,
    model: node.modelId,
    hardware: node.hardware,
    gpus: gpusOf(node.hardware),
    requests: sums.requests,
    output_tokens: sums.completionTokens,
    revenue_usd: usd(sums.chargeNanoUsd),
    granted_usd: usd(sums.grantedNanoUsd),
    cost_usd: usd(figures.costNanoUsd),
    margin_usd: usd(figures.marginNanoUsd),
    margin_per_gpu_hour_usd: usd(figures.marginGpuHourNanoUsd),
    output_tokens_per_second: figures.reached,
    break_even_tokens_per_second: figures.breakEven,
    idle: figures.idle,
    written_off_tokens: sums.writtenOffTokens,
  };
}
