/** Where to write, and what to do with the conversation. */
import { useEffect, useRef } from 'hono/jsx/dom';
import type { Phrases } from './data.ts';
import { typedIn } from './typed-in.ts';

export function Composer(props: {
  phrases: Phrases;
  draft: string;
  onDraft: (draft: string) => void;
  running: boolean;
  /** something has been asked */
  any: boolean;
  onSend: () => void;
  onStop: () => void;
  onRetry: () => void;
  onClear: () => void;
}) {
  const { phrases, draft, onDraft, running, any, onSend, onStop, onRetry, onClear } = props;
  const stop = useRef<HTMLButtonElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  // a button that can no longer be pressed loses the focus: it goes to what can be done next
  useEffect(() => {
    if (!document.activeElement?.matches('body, :disabled')) return;
    if (running) stop.current?.focus();
    else if (any) field.current?.focus();
  }, [running]);
  return (
    <form
      onSubmit={(event: Event) => {
        event.preventDefault();
        onSend();
      }}
    >
      <label for="message" class="mb-1 block text-sm font-medium">
        {phrases.message}
      </label>
      <textarea
        ref={field}
        id="message"
        rows={3}
        class="textarea w-full"
        aria-describedby="message-hint"
        value={draft}
        onInput={(event: Event) => onDraft(typedIn(event))}
        onKeyDown={(event: KeyboardEvent) => {
          if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          onSend();
        }}
      />
      <p id="message-hint" class="muted mt-1 mb-3 text-sm">
        {phrases.sendHint}
      </p>
      <div class="flex flex-wrap gap-3">
        <button type="submit" class="btn btn-primary" disabled={running}>
          {phrases.send}
        </button>
        <button ref={stop} type="button" class="btn" disabled={!running} onClick={onStop}>
          {phrases.stop}
        </button>
        <button type="button" class="btn" disabled={running || !any} onClick={onRetry}>
          {phrases.retry}
        </button>
        <button type="button" class="btn btn-ghost" disabled={!any} onClick={onClear}>
          {phrases.clear}
        </button>
      </div>
    </form>
  );
}
