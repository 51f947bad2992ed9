/** The end of a model's sale, for its operator: announced, moved later, or withdrawn. Its users are told of each. */
import { Hono } from 'hono';
import * as z from 'zod';
import { announceEnd, type EndModelFault, withdrawEnd } from '../../billing/end-model.ts';
import { loadCatalogue, type Model } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { END_NOTICE_DAYS, hasEnded, USED_WITHIN_DAYS } from '../../domain/model-end.ts';
import { Callout } from '../components/callout.tsx';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { type Faults, readForm, type Typed } from '../frame/form.ts';
import { operator } from '../frame/guard.ts';
import { page } from '../frame/layout.tsx';
import { notFoundPage } from '../frame/not-found.tsx';
import { fieldInstant, Instant } from './form.ts';
import { operatorNav } from './operator-nav.tsx';

const PRICES = '/operator/prices';
const DAY_MS = 86_400_000;

const EndForm = z.object({
  endsAtMs: Instant,
  successorId: z
    .string()
    .max(128)
    .transform((id) => (id === '' ? null : id)),
  confirm: z.string().max(128).default(''),
});

/** The field that each refusal marks. The page itself shows that a model has ended. */
const FAULTS: Partial<Record<EndModelFault, Faults>> = {
  end_too_soon: { endsAtMs: 'end_too_soon' },
  end_moved_forward: { endsAtMs: 'end_moved_forward' },
  successor_unknown: { successorId: 'choice' },
  successor_ends_first: { successorId: 'successor_ends_first' },
  end_unconfirmed: { confirm: 'end_unconfirmed' },
  end_changed: { endsAtMs: 'model_changed' },
};

export const modelEndPage = new Hono<PortalEnv>();

modelEndPage.use(operator);

modelEndPage.get('/models/:id/end', (c) => show(c, c.req.param('id'), {}));

modelEndPage.post('/models/:id/end', async (c) => {
  const modelId = c.req.param('id');
  const read = await readForm(c, EndForm);
  if (!read.ok) return show(c, modelId, read);
  const command = { modelId, ...read.values, actor: c.get('person')!.id, nowMs: Date.now() };
  const fault = await announceEnd(c.env, command);
  if (fault !== null) return show(c, modelId, { typed: read.typed, faults: FAULTS[fault] ?? {} });
  return c.redirect(c.req.path, 303);
});

modelEndPage.post('/models/:id/end/withdraw', async (c) => {
  const modelId = c.req.param('id');
  const fault = await withdrawEnd(c.env, { modelId, actor: c.get('person')!.id, nowMs: Date.now() });
  if (fault === 'model_not_found') return notFoundPage(c);
  return c.redirect(`/operator/models/${modelId}/end`, 303);
});

async function show(c: PortalContext, modelId: string, state: { typed?: Typed; faults?: Faults }) {
  const { t, f } = words(c);
  const names = t.operator.modelEnd;
  const nowMs = Date.now();
  const models = await loadCatalogue(database(c.env));
  const model = models.find(({ id }) => id === modelId);
  if (model === undefined) return notFoundPage(c);
  const title = names.title(model.id);
  return page(
    c,
    { title, status: state.faults ? 422 : 200, back: PRICES },
    <>
      {await operatorNav(c, PRICES)}
      <h1 class="mb-3 break-words">{title}</h1>
      <p class="mb-6 max-w-3xl">{names.lead(END_NOTICE_DAYS, USED_WITHIN_DAYS)}</p>
      {model.endsAtMs !== null && (
        <Callout tone="info">
          {(hasEnded(model, nowMs) ? names.ended : names.announced)(f.dateTime(model.endsAtMs))}
        </Callout>
      )}
      {state.faults && <Callout tone="error">{t.faults.summary}</Callout>}
      {!hasEnded(model, nowMs) && (
        <AnnounceForm c={c} model={model} models={models} nowMs={nowMs} {...state} />
      )}
      {model.endsAtMs !== null && !hasEnded(model, nowMs) && (
        <form method="post" action={`/operator/models/${model.id}/end/withdraw`} class="mt-10">
          <button class="btn" type="submit">
            {names.withdraw}
          </button>
        </form>
      )}
    </>,
  );
}

function AnnounceForm(props: {
  c: PortalContext;
  model: Model;
  models: readonly Model[];
  nowMs: number;
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, model, models, nowMs, typed, faults } = props;
  const names = words(c).t.operator.modelEnd;
  const fields = { c, typed, faults };
  // A day more than promised, so that a form that is filled in slowly still keeps the promise.
  const suggestedMs = model.endsAtMs ?? nowMs + (END_NOTICE_DAYS + 1) * DAY_MS;
  const successors = models
    .filter(({ id, prices }) => id !== model.id && prices.length > 0)
    .map(({ id, name }) => [id, name] as const);
  return (
    <form method="post" action={`/operator/models/${model.id}/end`} class="grid max-w-xl gap-5" novalidate>
      <TextField
        {...fields}
        name="endsAtMs"
        type="datetime-local"
        label={names.endsAt}
        value={fieldInstant(suggestedMs)}
        required
      />
      <SelectField
        {...fields}
        name="successorId"
        label={names.successor}
        value={model.successorId ?? ''}
        options={[['', names.noSuccessor], ...successors]}
      />
      <TextField {...fields} name="confirm" label={names.confirm(model.id)} required />
      <div class="flex flex-wrap gap-3">
        <button class="btn btn-primary" type="submit">
          {names.submit}
        </button>
        <a class="btn" href={PRICES}>
          {words(c).t.operator.prices.cancel}
        </a>
      </div>
    </form>
  );
}
