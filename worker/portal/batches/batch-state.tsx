/** The progress of a batch: its state as a badge, and how many of its lines have ended. */
import type { BatchRow } from '../../db/batches.ts';
import { type PortalContext, words } from '../frame/context.ts';

const BADGES: Record<BatchRow['state'], string> = {
  validating: 'badge-info',
  in_progress: 'badge-info',
  finalizing: 'badge-info',
  completed: 'badge-success',
  failed: 'badge-error',
  expired: 'badge-warning',
  cancelling: 'badge-warning',
  cancelled: '',
};

export function BatchState({ c, state }: { c: PortalContext; state: BatchRow['state'] }) {
  return <span class={`badge badge-sm badge-soft ${BADGES[state]}`}>{words(c).t.batches.states[state]}</span>;
}

/** Lines that have ended, successfully or not, of all lines. The total is 0 until the file has been read. */
export function BatchProgress({ c, row }: { c: PortalContext; row: BatchRow }) {
  const { t, f } = words(c);
  if (row.total === 0) return <>–</>;
  const ended = row.completed + row.failed;
  const text = t.batches.linesOf(f.count(ended), f.count(row.total));
  return (
    <span class="block">
      <progress
        class="progress progress-primary block w-32"
        value={ended}
        max={row.total}
        aria-label={text}
      />
      <span class="text-sm font-normal">{text}</span>
    </span>
  );
}
