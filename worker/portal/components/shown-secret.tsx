/** A secret that is shown once; a click selects all of it. */
export function ShownSecret({ title, text, note }: { title: string; text: string; note: string }) {
  return (
    <section aria-label={title} class="mb-6 rounded-box border border-accent px-5 py-4">
      <h2 class="mb-2">{title}</h2>
      <p class="mb-2 font-mono text-sm break-all select-all" data-secret>
        {text}
      </p>
      <p class="muted text-sm">{note}</p>
    </section>
  );
}
