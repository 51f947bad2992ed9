/** One of the key figures of a page, with its name and an optional note. */
import type { Child } from 'hono/jsx';

export function Tile({ label, value, note }: { label: string; value: Child; note?: string }) {
  return (
    <div class="bg-base-100 px-4 py-3">
      <dt class="muted text-sm">{label}</dt>
      <dd class="text-xl font-semibold tabular-nums tracking-tight">{value}</dd>
      {note && <dd class="muted text-sm">{note}</dd>}
    </div>
  );
}

/** Classes of the list of tiles. */
export const TILES = 'panel mb-8 grid grid-cols-2 gap-px overflow-hidden bg-base-300 lg:grid-cols-4';
