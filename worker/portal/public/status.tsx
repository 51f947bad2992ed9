/** The status of the service, in public: what the probes of worker/status say, and nothing of nodes or accounts. */
import { Hono } from 'hono';
import { loadCatalogue } from '../../db/catalogue.ts';
import { database } from '../../db/client.ts';
import { type DayRow, loadStanding } from '../../db/probes.ts';
import {
  API,
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

interface Part {
  /** `api`, or a model's id */
  readonly component: string;
  /** null: the API */
  readonly modelName: string | null;
  readonly state: ServiceState;
  readonly fault: Probe['fault'];
  readonly medianLatencyMs: number | null;
  readonly uptimeLastDay: number | null;
  readonly uptimeLastDays: number | null;
  /** a share a day, the oldest first; null: no probe that day */
  readonly days: readonly { readonly dayMs: number; readonly uptime: number | null }[];
}

export const statusPage = new Hono<PortalEnv>();

statusPage.get('/status', async (c) => {
  const { t, f } = words(c);
  const names = t.status;
  const { parts, lastAtMs } = await read(c);
  const state = overall(parts.map((part) => part.state));
  const nameOf = (part: Part) => part.modelName ?? names.api;
  const share = (value: number | null) => (value === null ? '–' : f.percent(value));
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
          {parts.map((part) => (
            <tr>
              <th scope="row">{nameOf(part)}</th>
              <td>
                <span class={`badge badge-sm badge-soft ${BADGES[part.state]}`}>
                  {names.states[part.state]}
                </span>
                {part.fault && part.state !== 'unknown' && (
                  <span class="muted ms-2">{names.faults[part.fault]}</span>
                )}
              </td>
              <td class="num">{part.medianLatencyMs === null ? '–' : f.duration(part.medianLatencyMs)}</td>
              <td class="num">{share(part.uptimeLastDay)}</td>
              <td class="num">{share(part.uptimeLastDays)}</td>
            </tr>
          ))}
        </tbody>
      </Sheet>
      <section aria-labelledby="history" class="mt-12">
        <h2 id="history" class="mb-4">
          {names.historyTitle}
        </h2>
        <div class="grid gap-6">
          {parts.map((part) => (
            <figure>
              <figcaption class="mb-1 text-sm font-medium">{nameOf(part)}</figcaption>
              <History label={names.history(nameOf(part), share(part.uptimeLastDays))} days={part.days}>
                {(day) =>
                  names.day(f.date(day.dayMs), day.uptime === null ? names.noData : f.percent(day.uptime))
                }
              </History>
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
  const { parts, lastAtMs } = await read(c);
  return c.json({
    state: overall(parts.map((part) => part.state)),
    probed_at: lastAtMs === null ? null : new Date(lastAtMs).toISOString(),
    components: parts.map((part) => ({
      component: part.component,
      state: part.state,
      fault: part.fault,
      median_latency_ms: part.medianLatencyMs,
      uptime_24h: part.uptimeLastDay,
      uptime_90d: part.uptimeLastDays,
    })),
  });
});

async function read(c: PortalContext): Promise<{ parts: Part[]; lastAtMs: number | null }> {
  const db = database(c.env);
  const nowMs = Date.now();
  const today = nowMs - (nowMs % DAY_MS);
  const starts = Array.from({ length: DAYS_SHOWN }, (_, index) => today - (DAYS_SHOWN - 1 - index) * DAY_MS);
  const [catalogue, standing] = await Promise.all([
    loadCatalogue(db),
    loadStanding(db, { fromMs: starts[0]!, nowMs }),
  ]);
  // a model that was never probed is not offered
  const offered = catalogue.filter(({ id }) => standing.days.some(({ component }) => component === id));
  const parts = [{ id: API, name: null }, ...offered].map(({ id: component, name: modelName }): Part => {
    const of = <Row extends { component: string }>(rows: readonly Row[]) =>
      rows.filter((row) => row.component === component);
    const recent = of(standing.recent);
    const days = new Map(of(standing.days).map((row): [number, DayRow] => [row.dayMs, row]));
    return {
      component,
      modelName,
      state: stateOf(recent, nowMs),
      fault: recent[0]?.fault ?? null,
      medianLatencyMs: medianLatencyMs(recent),
      uptimeLastDay: uptime(of(standing.lastDay)),
      uptimeLastDays: uptime([...days.values()]),
      days: starts.map((dayMs) => ({ dayMs, uptime: uptime(days.has(dayMs) ? [days.get(dayMs)!] : []) })),
    };
  });
  return { parts, lastAtMs: standing.recent[0]?.atMs ?? null };
}

/** A bar a day, as wide as there is room. What a day's bar says is its title, for a mouse; the table has the sum. */
function History(props: {
  label: string;
  days: Part['days'];
  children: (day: Part['days'][number]) => string;
}) {
  const { label, days, children: said } = props;
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
          <title>{said(day)}</title>
        </rect>
      ))}
    </svg>
  );
}

/** One failed probe in a day is 0.07 %. */
function toneOf(share: number | null): string {
  if (share === null) return 'fill-base-300';
  if (share > 0.999) return 'fill-success';
  return share > 0.98 ? 'fill-warning' : 'fill-error';
}
