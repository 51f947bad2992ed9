/** The public status page: results of the probes of worker/fleet, and nothing about nodes or accounts. */
import { Hono } from 'hono';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { type DayRow, loadProbeSummary } from '../../db/probes.ts';
import {
  API_COMPONENT,
  medianLatencyMs,
  overall,
  type Probe,
  type ServiceState,
  stateOf,
  uptime,
} from '../../domain/status.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, type PortalEnv, words } from '../frame/context.ts';
import { page } from '../frame/layout.tsx';

const DAY_MS = 86_400_000;
const DAYS_SHOWN = 90;

const BADGES: Record<ServiceState, string> = {
  operational: 'badge-success',
  degraded: 'badge-warning',
  down: 'badge-error',
  unknown: '',
};

interface Component {
  /** `api`, or a model's id */
  readonly id: string;
  /** null: the API */
  readonly modelName: string | null;
  readonly state: ServiceState;
  readonly fault: Probe['fault'];
  readonly medianLatencyMs: number | null;
  readonly uptimeLastDay: number | null;
  readonly uptimeLastDays: number | null;
  /** uptime per day as a fraction, oldest first; null: no probe that day */
  readonly days: readonly { readonly dayMs: number; readonly uptime: number | null }[];
}

export const statusPage = new Hono<PortalEnv>();

statusPage.get('/status', async (c) => {
  const { t, f } = words(c);
  const names = t.status;
  const { components, lastAtMs } = await readStatus(c);
  const state = overall(components.map((component) => component.state));
  const nameOf = ({ modelName }: Component) => modelName ?? names.api;
  const percent = (value: number | null) => (value === null ? '–' : f.percent(value));
  return page(
    c,
    { title: names.title },
    <>
      <h1 class="mb-2">{names.overall[state]}</h1>
      <p class="mb-1 max-w-2xl">{names.lead}</p>
      <p class="muted mb-8 text-sm">{lastAtMs === null ? names.never : names.lastAt(f.moment(lastAtMs))}</p>
      <Sheet label={names.title}>
        <Heads
          names={[names.part, names.state, `#${names.latency}`, `#${names.lastDay}`, `#${names.lastDays}`]}
        />
        <tbody>
          {components.map((component) => (
            <tr>
              <th scope="row">{nameOf(component)}</th>
              <td>
                <span class={`badge badge-sm badge-soft ${BADGES[component.state]}`}>
                  {names.states[component.state]}
                </span>
                {component.fault && component.state !== 'unknown' && (
                  <span class="muted ms-2">{names.faults[component.fault]}</span>
                )}
              </td>
              <td class="num">
                {component.medianLatencyMs === null ? '–' : f.duration(component.medianLatencyMs)}
              </td>
              <td class="num">{percent(component.uptimeLastDay)}</td>
              <td class="num">{percent(component.uptimeLastDays)}</td>
            </tr>
          ))}
        </tbody>
      </Sheet>
      <section aria-labelledby="history" class="mt-12">
        <h2 id="history" class="mb-4">
          {names.historyTitle}
        </h2>
        <div class="grid gap-6">
          {components.map((component) => (
            <figure>
              <figcaption class="mb-1 text-sm font-medium">{nameOf(component)}</figcaption>
              <History
                label={names.history(nameOf(component), percent(component.uptimeLastDays))}
                days={component.days}
                titleOf={(day) =>
                  names.day(f.date(day.dayMs), day.uptime === null ? names.noData : f.percent(day.uptime))
                }
              />
            </figure>
          ))}
        </div>
      </section>
      <p class="mt-8 text-sm">
        <a class="link" href="/status.json">
          {names.asJson}
        </a>
      </p>
    </>,
  );
});

statusPage.get('/status.json', async (c) => {
  const { components, lastAtMs } = await readStatus(c);
  return c.json({
    state: overall(components.map(({ state }) => state)),
    probed_at: lastAtMs === null ? null : new Date(lastAtMs).toISOString(),
    components: components.map((component) => ({
      component: component.id,
      state: component.state,
      fault: component.fault,
      median_latency_ms: component.medianLatencyMs,
      uptime_24h: component.uptimeLastDay,
      uptime_90d: component.uptimeLastDays,
    })),
  });
});

async function readStatus(c: PortalContext): Promise<{ components: Component[]; lastAtMs: number | null }> {
  const db = database(c.env);
  const nowMs = Date.now();
  const today = nowMs - (nowMs % DAY_MS);
  const starts = Array.from({ length: DAYS_SHOWN }, (_, index) => today - (DAYS_SHOWN - 1 - index) * DAY_MS);
  const [catalogue, summary] = await Promise.all([
    loadCatalogue(db),
    loadProbeSummary(db, { fromMs: starts[0]!, nowMs }),
  ]);
  // a model that was never probed is not offered here
  const offered = catalogue.filter(({ id }) => summary.days.some(({ component }) => component === id));
  const components = [{ id: API_COMPONENT, name: null }, ...offered].map(
    ({ id, name: modelName }): Component => {
      const rowsOf = <Row extends { component: string }>(rows: readonly Row[]) =>
        rows.filter(({ component }) => component === id);
      const recent = rowsOf(summary.recent);
      const days = new Map(rowsOf(summary.days).map((row): [number, DayRow] => [row.dayMs, row]));
      return {
        id,
        modelName,
        state: stateOf(recent, nowMs),
        fault: recent[0]?.fault ?? null,
        medianLatencyMs: medianLatencyMs(recent),
        uptimeLastDay: uptime(rowsOf(summary.lastDay)),
        uptimeLastDays: uptime([...days.values()]),
        days: starts.map((dayMs) => ({ dayMs, uptime: uptime(days.has(dayMs) ? [days.get(dayMs)!] : []) })),
      };
    },
  );
  return { components, lastAtMs: summary.recent[0]?.atMs ?? null };
}

/** One bar per day over the available width. A bar's title is for mouse users only; the table shows the total to all. */
function History(props: {
  label: string;
  days: Component['days'];
  titleOf: (day: Component['days'][number]) => string;
}) {
  const { label, days, titleOf } = props;
  return (
    <svg
      viewBox={`0 0 ${days.length * 4} 24`}
      preserveAspectRatio="none"
      class="h-8 w-full"
      role="img"
      aria-label={label}
    >
      {days.map((day, index) => (
        <rect x={index * 4} width="3" height="24" rx="0.6" class={toneOf(day.uptime)}>
          <title>{titleOf(day)}</title>
        </rect>
      ))}
    </svg>
  );
}

/** The colour of a day. One failed probe of the day's 1,440 is 0.07 %, so a single one leaves the day green. */
function toneOf(uptime: number | null): string {
  if (uptime === null) return 'fill-base-300';
  if (uptime > 0.999) return 'fill-success';
  return uptime > 0.98 ? 'fill-warning' : 'fill-error';
}
