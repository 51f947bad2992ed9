/** A chart with its title and legend. */
import { raw } from 'hono/html';
import { type Size, SLIM, WIDE } from './bars.ts';

export function ChartSection(props: {
  title: string;
  /** the chart's content in a sentence, for screen readers */
  label: string;
  legend: readonly { readonly name: string; readonly color: string }[];
  /** @returns an `<svg>` element */
  draw: (size: Size) => string;
}) {
  const { title, label, legend, draw } = props;
  return (
    <section class="mb-10">
      <h2 class="mb-3">{title}</h2>
      <ul class="muted mb-3 flex flex-wrap gap-x-5 gap-y-1 text-sm">
        {legend.map(({ name, color }) => (
          <li class="flex items-center gap-2">
            <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
              <rect width="12" height="12" rx="2" fill={color} />
            </svg>
            {name}
          </li>
        ))}
      </ul>
      <figure role="img" aria-label={label} class="chart">
        {/* one drawing per screen width: scaled down, the labels would be unreadable */}
        <div class="max-lg:hidden">{raw(draw(WIDE))}</div>
        <div class="max-w-xl lg:hidden">{raw(draw(SLIM))}</div>
      </figure>
    </section>
  );
}
