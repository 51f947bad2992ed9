/** The whole: settings at the left, the conversation at the right, where to write below it. On a phone the settings come last. */
import { useEffect, useRef, useState } from 'hono/jsx/dom';
import { formats } from '../../../i18n/formats.ts';
import { asCode } from './as-code.ts';
import { CodePanel } from './code-panel.tsx';
import { Composer } from './composer.tsx';
import { Conversation } from './conversation.ts';
import type { PlaygroundData } from './data.ts';
import { ExchangeView } from './exchange-view.tsx';
import { bodyFor, type Settings } from './settings.ts';
import { SettingsForm } from './settings-form.tsx';

/** Who has scrolled up further than this reads something, and is left there. */
const NEAR_END_PX = 40;

export function App({ data }: { data: PlaygroundData }) {
  const { phrases, baseUrl } = data;
  const f = formats(data.locale);
  const [settings, setSettings] = useState<Settings>({
    model: data.models[0]!.id,
    system: '',
    maxTokens: '',
    temperature: '',
    keyId: data.keys[0]!.id,
  });
  const [pinned, setPinned] = useState(false);
  const [draft, setDraft] = useState('');
  const [conversation] = useState(() => new Conversation(phrases));
  const [, redraw] = useState(0);
  useEffect(() => {
    conversation.onChange = () => redraw((drawn) => drawn + 1);
  }, []);

  const pane = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    if (pane.current && atEnd.current) pane.current.scrollTop = pane.current.scrollHeight;
  });

  const { exchanges, running } = conversation;
  const send = () => {
    if (running || draft.trim() === '') return;
    atEnd.current = true;
    setDraft('');
    void conversation.send(draft, settings);
  };
  const shown = draft.trim() === '' ? lastAsked() : bodyFor(settings, exchanges, draft);
  function lastAsked() {
    const last = exchanges.at(-1);
    return bodyFor(settings, exchanges.slice(0, -1), last?.question ?? phrases.draftStandIn);
  }

  return (
    <div class="grid gap-8 lg:grid-cols-[18rem_minmax(0,1fr)]">
      <section aria-labelledby="conversation" class="min-w-0">
        <h2 id="conversation" class="mb-3">
          {phrases.conversation}
        </h2>
        {/* read out when an answer is complete, not token by token */}
        <div
          ref={pane}
          role="log"
          aria-labelledby="conversation"
          aria-live="polite"
          aria-busy={running ? 'true' : 'false'}
          tabindex={0}
          class="panel mb-4 h-104 overflow-y-auto px-4 py-4 sm:px-5"
          onScroll={() => {
            const { scrollHeight, scrollTop, clientHeight } = pane.current!;
            atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
          }}
        >
          {exchanges.length === 0 && <p class="muted">{phrases.empty}</p>}
          {exchanges.map((exchange, index) => (
            <ExchangeView
              key={exchange.id}
              phrases={phrases}
              f={f}
              exchange={exchange}
              open={pinned || index === exchanges.length - 1}
            />
          ))}
        </div>
        <Composer
          phrases={phrases}
          draft={draft}
          onDraft={setDraft}
          running={running}
          any={exchanges.length > 0}
          onSend={send}
          onStop={() => conversation.stop()}
          onRetry={() => conversation.retry(settings)}
          onClear={() => conversation.clear()}
        />
        <CodePanel phrases={phrases} codes={asCode(baseUrl, shown)} />
      </section>
      <SettingsForm
        data={data}
        f={f}
        settings={settings}
        onSettings={setSettings}
        pinned={pinned}
        onPinned={setPinned}
      />
    </div>
  );
}
