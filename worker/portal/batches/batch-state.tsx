/** The progress of a batch: its state as a badge, and how many of its lines were answered. */
import type { BatchRow } from '../../db/batches.ts';
import { type PortalContext, words } from '../frame/context.ts';

type Shown = Pick<BatchRow, 'state' | 'total' | 'completed' | 'failed'>;

/** A batch that has ended is a success as far as its lines are: one whose lines all failed is none. */
type BadgeState = BatchRow['state'] | 'some_failed' | 'all_failed';

const BADGES: Record<BadgeState, string> = {
  validating: 'badge-info',
  in_progress: 'badge-info',
  finalizing: 'badge-info',
  completed: 'badge-success',
  some_failed: 'badge-warning',
  all_failed: 'badge-error',
  failed: 'badge-error',
  expired: 'badge-warning',
  cancelling: 'badge-warning',
  cancelled: '',
};

export function BatchState({ c, row }: { c: PortalContext; row: Shown }) {
  const state = badgeStateOf(row);
  return <span class={`badge badge-sm badge-soft ${BADGES[state]}`}>{words(c).t.batches.states[state]}</span>;
}

function badgeStateOf({ state, completed, failed }: Shown): BadgeState {
  if (state !== 'completed' || failed === 0) return state;
  return completed === 0 ? 'all_failed' : 'some_failed';
}

/** The answered lines of all lines as a bar, which failures do not fill. The total is 0 until the file has been read. */
export function BatchProgress({ c, row }: { c: PortalContext; row: Shown }) {
  const { t, f } = words(c);
  const names = t.batches;
  const { total, completed, failed } = row;
  if (total === 0) return <>–</>;
  const answered = names.answeredOf(f.count(completed), f.count(total));
  const text = failed === 0 ? answered : `${answered}, ${names.failedLines(failed, f.count(failed))}`;
  return (
    <span class="block">
      <progress
        class={`progress block w-32 ${failed === 0 ? 'progress-primary' : 'progress-warning'}`}
        value={completed}
        max={total}
        aria-label={text}
      />
      <span class="text-sm font-normal">{text}</span>
    </span>
  );
}
