/** Aliases: the account's own names for models, and the form that sets one. */
import { Hono } from 'hono';
import * as z from 'zod';
import type { Model } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import {
  ALIASES_MAX,
  listAliases,
  type ModelAliasRow,
  putAlias,
  removeAlias,
} from '../../db/model-aliases.ts';
import { ALIAS_EFFORTS } from '../../domain/model-alias.ts';
import { onSale } from '../../domain/model-end.ts';
import { type AliasFault, checkAlias } from '../../gateway/check-alias.ts';
import { catalogue } from '../../gateway/model-cache.ts';
import type { Fault } from '../../i18n/en/index.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, fault, readForm, type Typed } from '../frame/form.ts';
import { allowed, mayWrite, signedIn } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { problemPage } from '../frame/problem.tsx';

const AliasForm = z.object({
  name: z.string(fault('required')).min(1, fault('required')).max(64, fault('too_long')),
  model: z.string(fault('choice')).max(256, fault('choice')),
  /** empty: what each request asks for */
  effort: z
    .string()
    .regex(/^[a-z]{0,16}$/, fault('choice'))
    .default(''),
});
const RemoveForm = z.object({ name: z.string().max(64) });

/** The field of each fault, and what it says. */
const FAULTS: Record<AliasFault, Record<string, Fault>> = {
  name: { name: 'alias_name' },
  taken: { name: 'alias_taken' },
  model: { model: 'choice' },
  effort: { effort: 'alias_effort' },
};

export const aliasesPage = new Hono<PortalEnv>();

aliasesPage.use(signedIn, allowed('keys'));

aliasesPage.get('/', (c) => show(c, {}));

aliasesPage.post('/', async (c) => {
  const read = await readForm(c, AliasForm);
  if (!read.ok) return show(c, read);
  const { typed } = read;
  const nowMs = Date.now();
  const wanted = { ...read.values, effort: read.values.effort || null };
  const checked = checkAlias(await catalogue(c.env, nowMs), wanted, nowMs);
  if (!checked.ok) return show(c, { typed, faults: FAULTS[checked.fault] });
  const accountId = c.get('accountId');
  const set = await putAlias(database(c.env), {
    ...{ accountId, name: checked.name, modelId: checked.model.id, effort: wanted.effort },
    ...{ actor: c.get('person')!.id, nowMs },
  });
  if (set) return c.redirect('/aliases?done=set', 303);
  const isFull = (await listAliases(database(c.env), accountId)).length >= ALIASES_MAX;
  // otherwise the role was lost since the guard read it
  return isFull ? show(c, { typed, faults: { name: 'too_many_aliases' } }) : problemPage(c, 'role');
});

aliasesPage.post('/remove', async (c) => {
  const read = await readForm(c, RemoveForm);
  const removed =
    read.ok &&
    (await removeAlias(database(c.env), {
      ...{ accountId: c.get('accountId'), name: read.values.name },
      ...{ actor: c.get('person')!.id, nowMs: Date.now() },
    }));
  return removed ? c.redirect('/aliases?done=removed', 303) : notFoundPage(c);
});

async function show(c: PortalContext, state: { typed?: Typed; faults?: Faults }) {
  const { t } = words(c);
  const nowMs = Date.now();
  const [aliases, models] = await Promise.all([
    listAliases(database(c.env), c.get('accountId')),
    catalogue(c.env, nowMs),
  ]);
  const done = c.req.query('done') as keyof typeof t.aliases.done | undefined;
  const doneText = done && t.aliases.done[done];
  return page(
    c,
    { title: t.aliases.title, back: '/aliases', status: state.faults ? 422 : 200 },
    <>
      <h1 class="mb-2">{t.aliases.title}</h1>
      <p class="mb-2 max-w-3xl">{t.aliases.lead}</p>
      <p class="muted mb-8 max-w-3xl text-sm">{t.aliases.note}</p>
      {doneText && <Callout tone="success">{doneText}</Callout>}
      {aliases.length === 0 ? (
        <p>{t.aliases.empty}</p>
      ) : (
        <AliasTable c={c} aliases={aliases} models={models} nowMs={nowMs} />
      )}
      {mayWrite(c, 'keys') && <NewAliasForm c={c} models={onSale(models, nowMs)} {...state} />}
    </>,
  );
}

function AliasTable(props: {
  c: PortalContext;
  aliases: readonly ModelAliasRow[];
  models: readonly Model[];
  nowMs: number;
}) {
  const { c, aliases, models, nowMs } = props;
  const { t, f } = words(c);
  const sold = new Set(onSale(models, nowMs).map(({ id }) => id));
  return (
    <Sheet label={t.aliases.title}>
      <thead>
        <tr>
          {[t.aliases.name, t.aliases.model, t.aliases.effort, t.aliases.since].map((name) => (
            <th scope="col">{name}</th>
          ))}
          <th scope="col">
            <span class="sr-only">{t.keys.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {aliases.map(({ name, modelId, effort, createdAtMs }) => (
          <tr>
            <th scope="row" class="wraps font-mono font-normal break-all">
              <bdi>{name}</bdi>
            </th>
            <td class="font-mono">
              {modelId}
              {!sold.has(modelId) && (
                <span class="badge badge-sm badge-soft badge-warning ms-2">{t.aliases.ended}</span>
              )}
            </td>
            <td>{effort === null ? t.aliases.asAsked : effort}</td>
            <td>{f.date(createdAtMs)}</td>
            <td>
              {mayWrite(c, 'keys') && (
                <form method="post" action="/aliases/remove">
                  <input type="hidden" name="name" value={name} />
                  <button class="btn btn-sm" type="submit" aria-label={`${t.aliases.remove}: ${name}`}>
                    {t.aliases.remove}
                  </button>
                </form>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

function NewAliasForm(props: { c: PortalContext; models: readonly Model[]; typed?: Typed; faults?: Faults }) {
  const { c, models, typed, faults } = props;
  const { t } = words(c);
  const fields = { c, typed, faults };
  const levels = models.flatMap(({ profile }) => profile.thinking.effort?.levels ?? []);
  const efforts = [...new Set([...ALIAS_EFFORTS, ...levels])];
  return (
    <section aria-labelledby="new" class="mt-12 max-w-xl">
      <h2 id="new" class="mb-4">
        {t.aliases.newTitle}
      </h2>
      <form method="post" action="/aliases" class="grid gap-4" novalidate>
        <TextField {...fields} name="name" label={t.aliases.name} hint={t.aliases.nameHint} required />
        <SelectField
          {...fields}
          name="model"
          label={t.aliases.model}
          options={models.map(({ id }) => [id, id] as const)}
        />
        <SelectField
          {...fields}
          name="effort"
          label={t.aliases.effort}
          hint={t.aliases.effortHint}
          options={[['', t.aliases.asAsked] as const, ...efforts.map((each) => [each, each] as const)]}
        />
        <button class="btn btn-primary justify-self-start" type="submit">
          {t.aliases.submit}
        </button>
      </form>
    </section>
  );
}
