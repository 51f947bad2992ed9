/** Probes of the service, and their daily totals. */
import { desc, gte, sql } from 'drizzle-orm';
import { retentionMs } from '../domain/retention.ts';
import type { Probe, ProbeFault } from '../domain/status.ts';
import type { Database } from './client.ts';
import { probe, probeDay } from './schema.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** The status page shows the last hour's probes one by one. */
const SHOWN_MS = HOUR_MS;

/** Stores probes, adds them to their days and deletes old ones, in one batch. The same run stored twice counts once. */
export async function recordProbes(db: Database, probes: readonly Probe[], nowMs: number): Promise<void> {
  const json = JSON.stringify(probes);
  await db.$client.batch([
    db.$client.prepare(ADD_TO_DAYS).bind(json),
    db.$client.prepare(ADD).bind(json),
    db.$client.prepare('DELETE FROM probe WHERE at_ms < ?').bind(nowMs - retentionMs('probe')),
  ]);
}

/** The rows of ?1 as a table, without those already stored. */
const SENT = `(SELECT value ->> 'component' AS component, value ->> 'atMs' AS at_ms, value ->> 'ok' AS ok,
    value ->> 'latencyMs' AS latency_ms, value ->> 'fault' AS fault FROM json_each(?1)) AS sent
  WHERE NOT EXISTS (SELECT 1 FROM probe AS known
    WHERE known.component = sent.component AND known.at_ms = sent.at_ms)`;

/** Runs before ADD: rows that are already stored have been counted. */
const ADD_TO_DAYS = `INSERT INTO probe_day (component, day_ms, probes, failures)
  SELECT component, at_ms - at_ms % ${DAY_MS}, count(*), sum(ok = 0) FROM ${SENT} GROUP BY 1, 2
  ON CONFLICT DO UPDATE SET probes = probes + excluded.probes, failures = failures + excluded.failures`;
const ADD = `INSERT INTO probe (component, at_ms, ok, latency_ms, fault)
  SELECT component, at_ms, ok, latency_ms, fault FROM ${SENT}`;

export interface DayRow {
  readonly component: string;
  readonly dayMs: number;
  readonly probes: number;
  readonly failures: number;
}

export interface ProbeSummary {
  /** Probes of the last hour, newest first. */
  readonly recent: readonly Probe[];
  /** Totals of the last 24 hours, one row per component. */
  readonly lastDay: readonly Omit<DayRow, 'dayMs'>[];
  readonly days: readonly DayRow[];
}

/** Loads what the status page shows. @param fromMs start of the first day that is wanted */
export async function loadProbeSummary(
  db: Database,
  { fromMs, nowMs }: { fromMs: number; nowMs: number },
): Promise<ProbeSummary> {
  const [recent, lastDay, days] = await db.batch([
    db
      .select()
      .from(probe)
      .where(gte(probe.atMs, nowMs - SHOWN_MS))
      .orderBy(desc(probe.atMs)),
    db
      .select({
        component: probe.component,
        probes: sql<number>`count(*)`,
        failures: sql<number>`sum(${probe.ok} = 0)`,
      })
      .from(probe)
      .where(gte(probe.atMs, nowMs - DAY_MS))
      .groupBy(probe.component),
    db.select().from(probeDay).where(gte(probeDay.dayMs, fromMs)),
  ]);
  return { recent: recent.map((row) => ({ ...row, fault: row.fault as ProbeFault | null })), lastDay, days };
}
