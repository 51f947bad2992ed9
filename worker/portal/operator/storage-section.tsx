/** How full the database is, and how far its rows have moved to the archive. */
import { type ArchiveState, DATABASE_BYTES_MAX, DATABASE_BYTES_WARNED } from '../../db/archive-run.ts';
import { Callout } from '../components/callout.tsx';
import { TILES, Tile } from '../components/tile.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function StorageSection({ c, state }: { c: PortalContext; state: ArchiveState }) {
  const { t, f } = words(c);
  const names = t.operator.reconciliation;
  const { run, databaseBytes: bytes } = state;
  // A failure that a later pass has made good is no longer shown.
  const hasFailed = run.failures > 0 || run.passedFailures > 0;
  return (
    <section aria-labelledby="storage" class="mt-12">
      <h2 id="storage" class="mb-1">
        {names.storageTitle}
      </h2>
      <p class="muted mb-3 text-sm">{names.storageNote}</p>
      {bytes !== null && bytes >= DATABASE_BYTES_WARNED && (
        <Callout tone="warning">{names.databaseFilling}</Callout>
      )}
      {hasFailed && run.failedAtMs !== null && (
        <Callout tone="error">
          {names.archiveFailed(run.failedAccountId ?? '', f.moment(run.failedAtMs))}
          <code class="mt-1 block break-words">{run.failure}</code>
        </Callout>
      )}
      <dl class={TILES}>
        <Tile
          label={names.databaseSize}
          value={bytes === null ? names.databaseUnknown : f.bytes(bytes)}
          note={
            bytes === null
              ? undefined
              : names.databaseOf(f.bytes(DATABASE_BYTES_MAX), f.percent(bytes / DATABASE_BYTES_MAX))
          }
        />
        <Tile
          label={names.archived}
          value={f.count(state.rows)}
          note={names.archivedSize(f.bytes(state.bytes), f.count(state.parts))}
        />
        <Tile label={names.keptFrom} value={run.keptFromMs === null ? '–' : f.date(run.keptFromMs)} />
        <Tile
          label={names.passed}
          value={run.passedAtMs === null ? names.passedNever : f.moment(run.passedAtMs)}
          note={names.passFailures(f.count(run.passedFailures))}
        />
      </dl>
    </section>
  );
}
