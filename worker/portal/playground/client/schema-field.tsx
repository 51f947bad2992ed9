/** The setting for a JSON schema, folded away until it is wanted, with notes on what was typed. */
import { useMemo } from 'hono/jsx/dom';
import type { Phrases } from './data.ts';
import { type SchemaNote, schemaNotes } from './schema-notes.ts';

/** A note names the first places; a large schema has the same caveat at dozens. */
const PLACES_SHOWN_MAX = 3;

export function SchemaField(props: { phrases: Phrases; schema: string; onInput: (event: Event) => void }) {
  const { phrases, schema, onInput } = props;
  const notes = useMemo(() => schemaNotes(schema), [schema]);
  const isRefused = notes.some(({ kind }) => kind !== 'caveat');
  return (
    <details class="col-span-full">
      <summary class="cursor-pointer text-sm font-medium">
        {phrases.structured}
        {schema.trim() !== '' && (
          <>
            {' '}
            <span class="badge badge-sm">{phrases.structuredOn}</span>
          </>
        )}
      </summary>
      <label for="schema" class="mt-3 mb-1 block text-sm font-medium">
        {phrases.schema}
      </label>
      <textarea
        id="schema"
        rows={8}
        spellcheck={false}
        autocapitalize="off"
        class="textarea w-full font-mono text-xs"
        aria-describedby="schema-hint schema-notes"
        aria-invalid={isRefused ? 'true' : 'false'}
        onInput={onInput}
      />
      <p id="schema-hint" class="muted mt-1 text-sm">
        {phrases.schemaHint}
      </p>
      {/* present before there are notes, so that screen readers announce the first one */}
      <div id="schema-notes" role="status" class="mt-2 text-sm">
        {notes.length > 0 && (
          <ul class="grid gap-2">
            {notes.map((note) => (
              <li
                class={`border-s-2 ps-3 wrap-anywhere ${note.kind === 'caveat' ? 'border-warning' : 'border-error'}`}
              >
                <Note phrases={phrases} note={note} />
              </li>
            ))}
          </ul>
        )}
      </div>
    </details>
  );
}

function Note({ phrases, note }: { phrases: Phrases; note: SchemaNote }) {
  switch (note.kind) {
    case 'not JSON':
      return phrases.schemaNotJson;
    case 'no object':
      return phrases.schemaNoObject;
    case 'refused':
      return (
        <>
          {phrases.schemaRefused} {/* the API speaks English only */}
          <span lang="en">
            {note.path && <code>{note.path}</code>} {note.message}.
          </span>
        </>
      );
    case 'caveat':
      return (
        <>
          {phrases.schemaCaveats[note.caveat]} <Places paths={note.paths} />
        </>
      );
  }
}

function Places({ paths }: { paths: readonly string[] }) {
  const left = paths.length - PLACES_SHOWN_MAX;
  return (
    <>
      {paths.slice(0, PLACES_SHOWN_MAX).map((path, index) => (
        <>
          {index > 0 && ', '}
          <code>{path}</code>
        </>
      ))}
      {left > 0 && ` + ${left}`}
    </>
  );
}
