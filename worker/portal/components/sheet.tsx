/** A table that scrolls sideways on narrow screens, and can be scrolled by keyboard. */
import type { Child } from 'hono/jsx';

export function Sheet({ label, children }: { label: string; children?: Child }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: no landmark (its heading names one already), and no form's fieldset
    <div class="relative overflow-x-auto" role="group" aria-label={label} tabindex={0}>
      <table class="sheet">{children}</table>
    </div>
  );
}

/** Head cells; a name that begins with `#` stands over numbers. */
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
