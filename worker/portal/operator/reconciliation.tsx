/** The operator's reconciliation of charges with nodes' receipts: findings, token counts, and how far receipts lag. */
import { Hono } from 'hono';
import * as z from 'zod';
import { closeFinding, DRIFT_KINDS, readReconciliation } from '../../billing/reconciliation.ts';
import { archiveState } from '../../db/archive-run.ts';
import { database } from '../../db/client.ts';
import { type DriftKey, findOpenDrift } from '../../db/drift.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, Line, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { CountedTable } from './counted-table.tsx';
import { DriftTable, driftText } from './drift-table.tsx';
import { operatorNav } from './operator-nav.tsx';
import { ReceiptLag } from './receipt-lag.tsx';
import { StorageSection } from './storage-section.tsx';

const PATH = '/operator/reconciliation';

/** The key of a finding, as the query and the form of the closing page carry it. */
const FindingKey = z.object({
  request: z.string().max(64),
  node: z.string().max(64),
  kind: z.enum(DRIFT_KINDS),
});
const CloseForm = FindingKey.extend({ note: Line(500) });

export const reconciliationPage = new Hono<PortalEnv>();

reconciliationPage.use(operator);

reconciliationPage.get('/reconciliation', async (c) => {
  const { t } = words(c);
  const names = t.operator.reconciliation;
  const [reconciliation, storage] = await Promise.all([
    readReconciliation(c.env, Date.now()),
    archiveState(database(c.env)),
  ]);
  const nodeNames = new Map(reconciliation.nodes.map((node) => [node.id, node.name]));
  return page(
    c,
    { title: names.title },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6">{names.lead}</p>
      {c.req.query('closed') !== undefined && <Callout tone="success">{names.closed}</Callout>}
      <DriftTable c={c} findings={reconciliation.findings} nodeNames={nodeNames} />
      <CountedTable c={c} reconciliation={reconciliation} nodeNames={nodeNames} />
      <ReceiptLag c={c} reconciliation={reconciliation} />
      <StorageSection c={c} state={storage} />
    </>,
  );
});

reconciliationPage.get('/reconciliation/close', (c) => ask(c, c.req.query(), {}));

reconciliationPage.post('/reconciliation/close', async (c) => {
  const read = await readForm(c, CloseForm);
  if (!read.ok) return ask(c, read.typed, read);
  const { note, ...key } = read.values;
  const order = { key: driftKey(key), note, actor: c.get('person')!.id, nowMs: Date.now() };
  return (await closeFinding(c.env, order)) ? c.redirect(`${PATH}?closed`, 303) : notFoundPage(c);
});

function driftKey({ request, node, kind }: z.infer<typeof FindingKey>): DriftKey {
  return { requestId: request, nodeId: node, kind };
}

async function ask(c: PortalContext, query: Typed, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const names = t.operator.reconciliation;
  const key = FindingKey.safeParse(query);
  const finding = key.success ? await findOpenDrift(database(c.env), driftKey(key.data)) : null;
  if (!key.success || finding === null) return notFoundPage(c);
  return page(
    c,
    { title: names.closeTitle, narrow: true, status: state.faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-3">{names.closeTitle}</h1>
      <p class="mb-3 font-mono text-sm break-all">{finding.requestId}</p>
      <p class="mb-3">{driftText(c, finding)}</p>
      <p class="mb-6">{names.closeText}</p>
      <form method="post" action={`${PATH}/close`} class="grid gap-5" novalidate>
        {Object.entries(key.data).map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <TextField c={c} {...state} name="note" label={names.note} required />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {names.closeSubmit}
          </button>
          <a class="btn" href={PATH}>
            {names.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
