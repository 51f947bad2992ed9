/** A table that scrolls sideways on narrow screens, also by keyboard. */
import type { Child } from 'hono/jsx';

export function Sheet({ label, children }: { label: string; children?: Child }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: <section> would be a second landmark, and <fieldset> belongs to forms
    <div class="relative overflow-x-auto" role="group" aria-label={label} tabindex={0}>
      <table class="sheet">{children}</table>
    </div>
  );
}

/** The header row; a name with a leading `#`, which is not shown, heads a column of numbers. */
export function Heads({ names }: { names: readonly string[] }) {
  return (
    <thead>
      <tr>
        {names.map((name) => (
          <th scope="col" class={name.startsWith('#') ? 'num' : undefined}>
            {name.replace(/^#/, '')}
          </th>
        ))}
      </tr>
    </thead>
  );
}
