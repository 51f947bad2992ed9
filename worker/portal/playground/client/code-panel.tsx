/** The request as a program, with a tab for each language. */
import { useState } from 'hono/jsx/dom';
import type { Code } from './as-code.ts';
import type { Phrases } from './data.ts';

export function CodePanel({ phrases, codes }: { phrases: Phrases; codes: readonly Code[] }) {
  const [tab, setTab] = useState(0);
  const [status, setStatus] = useState('');
  const code = codes[tab]!.code;
  const copy = () =>
    navigator.clipboard.writeText(code).then(
      () => setStatus(phrases.copied),
      () => setStatus(phrases.notCopied),
    );
  return (
    <details class="mt-6">
      <summary class="cursor-pointer text-sm font-medium">{phrases.code}</summary>
      <div class="mt-3 mb-3 flex flex-wrap items-center gap-3">
        <fieldset class="join">
          <legend class="sr-only">{phrases.code}</legend>
          {codes.map(({ name }, index) => (
            <input
              type="radio"
              name="code"
              class="btn btn-sm join-item"
              aria-label={name}
              checked={index === tab}
              onChange={() => {
                setTab(index);
                setStatus('');
              }}
            />
          ))}
        </fieldset>
        <button type="button" class="btn btn-sm" onClick={copy}>
          {phrases.copy}
        </button>
        <span role="status" class="text-sm">
          {status}
        </span>
      </div>
      <pre class="snippet max-h-96 overflow-y-auto" tabindex={0}>
        <code>{code}</code>
      </pre>
    </details>
  );
}
