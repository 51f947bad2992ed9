/** Webhook endpoints with their actions, and the form for another one. */
import { ENDPOINTS_MAX, type WebhookEndpointRow } from '../../db/webhook-endpoints.ts';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

export function EndpointList(props: {
  c: PortalContext;
  endpoints: readonly WebhookEndpointRow[];
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, endpoints, typed, faults } = props;
  const { t, f } = words(c);
  return (
    <section aria-labelledby="webhooks" class="mt-12">
      <h2 id="webhooks" class="mb-1">
        {t.alerts.endpointsTitle}
      </h2>
      <p class="muted mb-4 max-w-3xl text-sm">{t.alerts.endpointsNote}</p>
      {endpoints.length === 0 ? (
        <p class="mb-6">{t.alerts.endpointsEmpty}</p>
      ) : (
        <ul class="mb-6 divide-y divide-base-300 rounded-box border border-base-300">
          {endpoints.map((endpoint) => (
            <Endpoint c={c} endpoint={endpoint} />
          ))}
        </ul>
      )}
      {endpoints.length < ENDPOINTS_MAX ? (
        <form method="post" action="/alerts/endpoints" class="grid max-w-xl gap-4" novalidate>
          <TextField
            c={c}
            typed={typed}
            faults={faults}
            name="url"
            label={t.alerts.url}
            hint={t.alerts.urlHint}
            required
          />
          <button class="btn btn-primary justify-self-start" type="submit">
            {t.alerts.add}
          </button>
        </form>
      ) : (
        <p>{t.alerts.endpointsFull(f.count(ENDPOINTS_MAX))}</p>
      )}
    </section>
  );
}

function Endpoint({ c, endpoint }: { c: PortalContext; endpoint: WebhookEndpointRow }) {
  const { t, f } = words(c);
  const { alerts } = t;
  const path = `/alerts/endpoints/${endpoint.id}`;
  return (
    <li class="px-4 py-3">
      <p class="font-mono text-sm break-all">
        <bdi>{endpoint.url}</bdi>
      </p>
      <p class="muted mb-2 text-sm">{alerts.added(f.date(endpoint.createdAtMs))}</p>
      <div class="flex flex-wrap items-start gap-x-4 gap-y-2">
        <form method="post" action={`${path}/test`}>
          <button class="btn btn-sm" type="submit" aria-label={`${alerts.test}: ${endpoint.url}`}>
            {alerts.test}
          </button>
        </form>
        <ConfirmedAction
          action={`${path}/rotate`}
          url={endpoint.url}
          name={alerts.rotate}
          note={alerts.rotateNote}
          submit={alerts.rotateSubmit}
        />
        <ConfirmedAction
          action={`${path}/remove`}
          url={endpoint.url}
          name={alerts.remove}
          note={alerts.removeNote}
          submit={alerts.removeSubmit}
          destructive
        />
      </div>
    </li>
  );
}

/** A button that unfolds to an explanation and a second button, without script. */
function ConfirmedAction(props: {
  action: string;
  url: string;
  name: string;
  note: string;
  submit: string;
  destructive?: boolean;
}) {
  const { action, url, name, note, submit, destructive } = props;
  return (
    <details class="max-w-md open:basis-full">
      <summary class="btn btn-sm" aria-label={`${name}: ${url}`}>
        {name}
      </summary>
      <form method="post" action={action} class="py-3">
        <p class="mb-3 text-sm">{note}</p>
        <button class={`btn btn-sm ${destructive ? 'btn-error' : 'btn-primary'}`} type="submit">
          {submit}
        </button>
      </form>
    </details>
  );
}
