/** The operator's models: all of them, and the forms to add one, to edit one, and to delete one that was never sold. */
import { Hono } from 'hono';
import { addModel, editModel, removeModel } from '../../billing/change-models.ts';
import { database } from '../../db/client.ts';
import { listModelRows, type ModelRow } from '../../db/models.ts';
import { versionOf } from '../../domain/model-definition.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField } from '../components/field.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { ModelFields } from './model-fields.tsx';
import { EditForm, faultsOf, firstPrices, NewForm, typedFrom, typedOf } from './model-form.ts';
import { operatorNav } from './operator-nav.tsx';
import { SHIPPED_MODELS } from './shipped-models.ts';

const PATH = '/operator/models';
const NEW = `${PATH}/new`;

interface Shown {
  readonly typed?: Typed;
  readonly faults?: Faults;
}

export const modelsPage = new Hono<PortalEnv>();

modelsPage.use(operator);

modelsPage.get('/models', (c) => list(c));

modelsPage.get('/models/new', (c) => {
  const { f } = words(c);
  return newPage(c, { typed: typedFrom(c.req.query('from') ?? '', f.count) });
});

modelsPage.post('/models/new', async (c) => {
  const read = await readForm(c, NewForm);
  if (!read.ok) return newPage(c, read);
  const { values, typed } = read;
  const prices = firstPrices(values);
  const refusal = await addModel(
    c.env,
    { definition: definitionOf(values.id, values), prices },
    commandOf(c),
  );
  if (refusal !== null) return newPage(c, { typed, faults: faultsOf(refusal) });
  return c.redirect(`${PATH}/${values.id}`, 303);
});

modelsPage.get('/models/:id', async (c) => {
  const row = await findRow(c);
  return row ? editPage(c, row, {}) : notFoundPage(c);
});

modelsPage.post('/models/:id', async (c) => {
  const row = await findRow(c);
  if (row === undefined) return notFoundPage(c);
  const read = await readForm(c, EditForm);
  if (!read.ok) return editPage(c, row, read);
  const { seen, ...values } = read.values;
  const refusal = await editModel(c.env, definitionOf(row.id, values), { ...commandOf(c), seen });
  if (refusal !== null) return editPage(c, row, { typed: read.typed, faults: faultsOf(refusal) });
  return c.redirect(`${PATH}/${row.id}?saved=1`, 303);
});

modelsPage.post('/models/:id/delete', async (c) => {
  const row = await findRow(c);
  if (row === undefined) return notFoundPage(c);
  const refusal = await removeModel(c.env, row.id, commandOf(c));
  return refusal === null ? c.redirect(PATH, 303) : editPage(c, row, { faults: faultsOf(refusal) });
});

function commandOf(c: PortalContext) {
  return { actor: c.get('person')!.id, nowMs: Date.now() };
}

async function findRow(c: PortalContext): Promise<ModelRow | undefined> {
  return (await listModelRows(database(c.env))).find(({ id }) => id === c.req.param('id'));
}

type Values = Parameters<typeof addModel>[1]['definition'];

function definitionOf(id: string, values: Omit<Values, 'id'>): Values {
  const { name, aliases, modelPaths, revision, license, profile } = values;
  const { contextTokens, outputTokensMax, outputTokensDefault } = values;
  const tokens = { contextTokens, outputTokensMax, outputTokensDefault };
  return { id, name, aliases, modelPaths, revision, license, ...tokens, profile };
}

async function list(c: PortalContext) {
  const { t, f } = words(c);
  const names = t.operator.models;
  const models = await listModelRows(database(c.env));
  const shipped = Object.keys(SHIPPED_MODELS).map((id) => [id, id] as const);
  return page(
    c,
    { title: names.title, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.title}</h1>
      <p class="mb-6 max-w-3xl">{names.lead}</p>
      <Sheet label={names.title}>
        <Heads names={[names.model, names.aliases, names.weights, `#${names.context}`, names.state]} />
        <tbody>
          {models.map((model) => (
            <tr>
              <th scope="row" class="wraps">
                <a class="link" href={`${PATH}/${model.id}`}>
                  {model.name}
                </a>
                <div class="muted font-mono text-sm font-normal">{model.id}</div>
              </th>
              <td class="wraps text-sm">{model.aliases.join(', ')}</td>
              <td class="text-sm">
                {model.profile.repository ?? names.noProfile}
                <div class="muted">{model.license}</div>
              </td>
              <td class="num">{f.count(model.contextTokens)}</td>
              <td>{names.states[stateOf(model, Date.now())]}</td>
            </tr>
          ))}
        </tbody>
      </Sheet>
      <section aria-labelledby="new" class="mt-12 max-w-3xl">
        <h2 id="new" class="mb-1">
          {names.newTitle}
        </h2>
        <p class="muted mb-4 text-sm">{names.newNote}</p>
        <form method="get" action={NEW} class="flex flex-wrap items-end gap-4">
          <div class="min-w-64">
            <SelectField
              c={c}
              name="from"
              label={names.from}
              options={[['', names.fromNothing], ...shipped]}
            />
          </div>
          <button class="btn btn-primary" type="submit">
            {names.begin}
          </button>
        </form>
      </section>
    </>,
  );
}

function stateOf(model: ModelRow, nowMs: number): 'draft' | 'sold' | 'ended' | 'no_profile' {
  if (!('repository' in model.profile)) return 'no_profile';
  if (model.endsAtMs !== null && model.endsAtMs <= nowMs) return 'ended';
  return model.sold ? 'sold' : 'draft';
}

async function newPage(c: PortalContext, { typed = {}, faults }: Shown) {
  const { t } = words(c);
  const names = t.operator.models;
  return page(
    c,
    { title: names.newTitle, status: faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-2">{names.newTitle}</h1>
      <p class="mb-6 max-w-3xl">{names.newLead}</p>
      {faults && <Callout tone="error">{t.faults.summary}</Callout>}
      <form method="post" action={NEW} class="max-w-3xl" novalidate>
        <ModelFields c={c} typed={typed} faults={faults} isNew />
        <Buttons c={c} submit={names.add} />
      </form>
    </>,
  );
}

async function editPage(c: PortalContext, row: ModelRow, { typed, faults }: Shown) {
  const { t, f } = words(c);
  const names = t.operator.models;
  return page(
    c,
    { title: row.name, status: faults ? 422 : 200, back: PATH },
    <>
      {await operatorNav(c, PATH)}
      <h1 class="mb-1 wrap-anywhere">{row.name}</h1>
      <p class="muted mb-4 font-mono text-sm wrap-anywhere">{row.id}</p>
      <p class="mb-6 max-w-3xl">{row.sold ? names.soldLead : names.draftLead}</p>
      {row.formerAliases.length > 0 && (
        <p class="muted mb-6 max-w-3xl text-sm wrap-anywhere">{names.former(row.formerAliases.join(', '))}</p>
      )}
      {c.req.query('saved') !== undefined && !faults && <Callout tone="success">{names.saved}</Callout>}
      {faults && <Callout tone="error">{t.faults[faults.id ?? 'summary']}</Callout>}
      <form method="post" action={`${PATH}/${row.id}`} class="max-w-3xl" novalidate>
        <input type="hidden" name="seen" value={versionOf(row)} />
        <ModelFields c={c} typed={typed ?? typedOf(row, f.count)} faults={faults} />
        <Buttons c={c} submit={names.save} />
      </form>
      <Links c={c} row={row} />
    </>,
  );
}

function Buttons({ c, submit }: { c: PortalContext; submit: string }) {
  return (
    <div class="mt-6 flex flex-wrap gap-3">
      <button class="btn btn-primary" type="submit">
        {submit}
      </button>
      <a class="btn" href={PATH}>
        {words(c).t.operator.prices.cancel}
      </a>
    </div>
  );
}

function Links({ c, row }: { c: PortalContext; row: ModelRow }) {
  const { t } = words(c);
  return (
    <div class="mt-10 flex flex-wrap items-center gap-4">
      <a class="link" href="/operator/prices">
        {t.operator.nav.prices}
      </a>
      {row.sold ? (
        <a class="link" href={`${PATH}/${row.id}/end`}>
          {t.operator.modelEnd.link}
        </a>
      ) : (
        <form method="post" action={`${PATH}/${row.id}/delete`}>
          <button class="btn btn-sm" type="submit">
            {t.operator.models.delete}
          </button>
        </form>
      )}
    </div>
  );
}
