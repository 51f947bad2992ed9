/** The field for a message, and the buttons that act on the conversation. */
import { useEffect, useRef } from 'hono/jsx/dom';
import type { Phrases } from './data.ts';
import { inputValue } from './input-value.ts';

export function Composer(props: {
  phrases: Phrases;
  draft: string;
  onDraft: (draft: string) => void;
  running: boolean;
  /** a question has been asked */
  isBegun: boolean;
  onSend: () => void;
  onStop: () => void;
  onRetry: () => void;
  onClear: () => void;
}) {
  const { phrases, draft, onDraft, running, isBegun, onSend, onStop, onRetry, onClear } = props;
  const stop = useRef<HTMLButtonElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  // a button that becomes disabled loses the focus, which then moves to the next possible action
  useEffect(() => {
    if (!document.activeElement?.matches('body, :disabled')) return;
    if (running) stop.current?.focus();
    else if (isBegun) field.current?.focus();
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
        onInput={(event: Event) => onDraft(inputValue(event))}
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
        <button type="button" class="btn" disabled={running || !isBegun} onClick={onRetry}>
          {phrases.retry}
        </button>
        <button type="button" class="btn btn-ghost" disabled={!isBegun} onClick={onClear}>
          {phrases.clear}
        </button>
      </div>
    </form>
  );
}
