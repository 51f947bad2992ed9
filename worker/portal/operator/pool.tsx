/** The operator's pool: every node with the state of its last heartbeat, and the actions on it. */
import { Hono } from 'hono';
import * as z from 'zod';
import { HARDWARE } from '../../../gpu-pool/protocol/constants.ts';
import { latestCanaryAttempts } from '../../db/canary.ts';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { isId } from '../../domain/ids.ts';
import type { NodeAction, PoolSnapshot } from '../../domain/node.ts';
import { changeNode, createJoinToken, listAudit, listNodes, NODE_NAME } from '../../fleet/nodes.ts';
import { describeError } from '../../lib/describe-error.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { Choice, type Faults, fault, readForm, type Typed, typedFields } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { carrySecret, takeSecret } from '../frame/shown-once.ts';
import { AuditTable } from './audit-table.tsx';
import { hardwareName } from './hardware-names.ts';
import { NodeTable } from './node-table.tsx';
import { operatorNav } from './operator-nav.tsx';

const AUDIT_SHOWN = 20;

const JoinForm = z.object({
  name: z.string(fault('required')).min(1, fault('required')).regex(NODE_NAME, fault('node_name')),
  modelId: z.string(fault('choice')).max(128, fault('choice')),
  hardware: Choice(HARDWARE),
});

export const poolPage = new Hono<PortalEnv>();

poolPage.use(operator);

poolPage.get('/pool', (c) => show(c, {}));

poolPage.post('/pool', async (c) => {
  const read = await readForm(c, JoinForm);
  if (!read.ok) return show(c, read);
  const catalogue = await loadCatalogue(database(c.env));
  if (!catalogue.some((model) => model.id === read.values.modelId)) {
    return show(c, { typed: read.typed, faults: { modelId: 'choice' } });
  }
  const person = c.get('person')!;
  const order = { ...read.values, actor: person.id, nowMs: Date.now() };
  const { token, expiresAtMs } = await createJoinToken(c.env, order);
  await carrySecret(c, { kind: 'join_token', subject: person.id, text: token, note: String(expiresAtMs) });
  return c.redirect('/operator/pool', 303);
});

poolPage.post('/nodes/:nodeId/:action{drain|quarantine|restore}', async (c) => {
  const action = c.req.param('action') as NodeAction;
  return (await change(c, c.req.param('nodeId'), action)) ?? notFoundPage(c);
});

poolPage.get('/nodes/:nodeId/remove', (c) => confirmRemoval(c, c.req.param('nodeId'), {}));

poolPage.post('/nodes/:nodeId/remove', async (c) => {
  const nodeId = c.req.param('nodeId');
  const typed = await typedFields(c);
  const node = await findListedNode(c, nodeId);
  if (node && typed.confirm !== node.name)
    return confirmRemoval(c, nodeId, { typed, faults: { confirm: 'confirm' } });
  return (await change(c, nodeId, 'remove')) ?? notFoundPage(c);
});

async function change(c: PortalContext, nodeId: string, action: NodeAction) {
  if (!isId('node', nodeId)) return null;
  const actor = c.get('person')!.id;
  const state = await changeNode(c.env, { nodeId, action, actor, nowMs: Date.now() });
  return state && c.redirect(`/operator/pool?changed=${nodeId}`, 303);
}

async function findListedNode(c: PortalContext, nodeId: string) {
  const nodes = await listNodes(database(c.env));
  return nodes.find((node) => node.id === nodeId && node.state !== 'removed') ?? null;
}

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const db = database(c.env);
  const person = c.get('person')!;
  const [catalogue, registered, canaries, audit] = await Promise.all([
    loadCatalogue(db),
    listNodes(db),
    latestCanaryAttempts(db, Date.now()),
    listAudit(db, AUDIT_SHOWN),
  ]);
  const nodes = registered
    .filter((node) => node.state !== 'removed')
    .sort((a, b) => a.name.localeCompare(b.name));
  const snapshots = await Promise.all(catalogue.map((model) => snapshotOf(c, model.id)));
  const joinToken = await takeSecret(c, { kind: 'join_token', subject: person.id });
  const changed = registered.find((node) => node.id === c.req.query('changed'));
  const names = new Map([
    [person.id, person.email],
    ...registered.map((node) => [node.id, node.name] as const),
  ]);
  return page(
    c,
    { title: t.pool.title, status: state.faults ? 422 : 200, back: '/operator/pool' },
    <>
      {await operatorNav(c, '/operator/pool')}
      <Heading c={c} />
      {changed && <Callout tone="success">{t.pool.changed(changed.name)}</Callout>}
      {joinToken && <JoinCommand c={c} token={joinToken.text} expiresAtMs={Number(joinToken.note)} />}
      {catalogue.map((model, index) => (
        <section aria-labelledby={`model-${index}`} class="mb-10">
          <h2 id={`model-${index}`} class="mb-2 wrap-anywhere">
            {model.name} <span class="muted font-mono text-sm font-normal">{model.id}</span>
          </h2>
          {snapshots[index] === null && <p class="mb-2 text-error">{t.pool.silent}</p>}
          <NodeTable
            c={c}
            title={model.name}
            nodes={nodes.filter((node) => node.modelId === model.id)}
            snapshot={snapshots[index] ?? null}
            canaries={canaries}
          />
        </section>
      ))}
      <JoinSection c={c} modelIds={catalogue.map(({ id }) => id)} {...state} />
      <AuditTable c={c} rows={audit} names={names} />
    </>,
  );
}

/** The title, and the instant at which the page was read. */
function Heading({ c }: { c: PortalContext }) {
  const { t, f } = words(c);
  return (
    <div class="mb-6 flex flex-wrap items-baseline justify-between gap-x-6 gap-y-2">
      <div>
        <h1 class="mb-2">{t.pool.title}</h1>
        <p>{t.pool.lead}</p>
      </div>
      <p class="muted text-sm">
        {t.pool.readAt(f.time(Date.now()))}{' '}
        <a class="link" href="/operator/pool">
          {t.pool.refresh}
        </a>
      </p>
    </div>
  );
}

/** The form that makes a join token for a new node. */
function JoinSection(props: {
  c: PortalContext;
  modelIds: readonly string[];
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, modelIds, ...fields } = props;
  const { t } = words(c);
  return (
    <section aria-labelledby="join" class="mb-12 max-w-3xl">
      <h2 id="join" class="mb-1">
        {t.pool.joinTitle}
      </h2>
      <p class="muted mb-4 text-sm">{t.pool.joinNote}</p>
      <form method="post" action="/operator/pool" class="grid items-start gap-5 sm:grid-cols-3" novalidate>
        <TextField c={c} {...fields} name="name" label={t.pool.joinName} required />
        <SelectField
          c={c}
          {...fields}
          name="modelId"
          label={t.pool.model}
          options={modelIds.map((id) => [id, id])}
        />
        <SelectField
          c={c}
          {...fields}
          name="hardware"
          label={t.pool.hardware}
          options={HARDWARE.map((each) => [each, hardwareName(each)])}
        />
        <div class="sm:col-span-3">
          <button class="btn btn-primary" type="submit">
            {t.pool.joinSubmit}
          </button>
        </div>
      </form>
    </section>
  );
}

/** @returns null: the Pool does not answer. The registered nodes are shown all the same. */
async function snapshotOf(c: PortalContext, modelId: string): Promise<PoolSnapshot | null> {
  try {
    return await c.env.POOL.getByName(modelId).snapshot();
  } catch (error) {
    console.error(JSON.stringify({ event: 'pool_snapshot_failed', modelId, error: describeError(error) }));
    return null;
  }
}

function JoinCommand({ c, token, expiresAtMs }: { c: PortalContext; token: string; expiresAtMs: number }) {
  const { t, f } = words(c);
  return (
    <section aria-label={t.pool.joinShownTitle} class="mb-10 rounded-box border border-accent px-5 py-4">
      <h2 class="mb-2">{t.pool.joinShownTitle}</h2>
      <p class="mb-2 font-mono text-sm break-all select-all" data-secret>
        npm run node -- --engine ENGINE_URL --join {token}
      </p>
      <p class="muted text-sm">{t.pool.joinShownNote(f.dateTime(expiresAtMs))}</p>
    </section>
  );
}

async function confirmRemoval(c: PortalContext, nodeId: string, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const node = isId('node', nodeId) ? await findListedNode(c, nodeId) : null;
  if (!node) return notFoundPage(c);
  return page(
    c,
    { title: t.pool.removeTitle(node.name), narrow: true, status: state.faults ? 422 : 200 },
    <>
      <h1 class="mb-3">{t.pool.removeTitle(node.name)}</h1>
      <p class="mb-6">{t.pool.removeText}</p>
      <form method="post" class="grid gap-5" novalidate>
        <TextField c={c} {...state} name="confirm" label={t.pool.removeConfirm(node.name)} required />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-error" type="submit">
            {t.pool.removeSubmit}
          </button>
          <a class="btn" href="/operator/pool">
            {t.pool.cancel}
          </a>
        </div>
      </form>
    </>,
  );
}
