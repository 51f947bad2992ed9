/** The playground: settings on the left, conversation and composer on the right. On a phone the settings come last. */
import { useEffect, useRef, useState } from 'hono/jsx/dom';
import { type Formats, formats } from '../../../i18n/formats.ts';
import { asCode } from './as-code.ts';
import { CodePanel } from './code-panel.tsx';
import { Composer } from './composer.tsx';
import { Conversation } from './conversation.ts';
import type { Phrases, PlaygroundData } from './data.ts';
import { ExchangeView } from './exchange-view.tsx';
import { bodyFor, type Settings } from './settings.ts';
import { SettingsForm } from './settings-form.tsx';

/** A reader who has scrolled up further than this is reading, so new text does not scroll the pane to its end. */
const NEAR_END_PX = 40;

export function App({ data }: { data: PlaygroundData }) {
  const { phrases, baseUrl } = data;
  const f = formats(data.locale);
  const [settings, setSettings] = useState<Settings>({
    model: data.models[0]!.id,
    system: '',
    maxTokens: '',
    temperature: '',
    schema: '',
    keyId: data.keys[0]!.id,
  });
  const [pinned, setPinned] = useState(false);
  const [draft, setDraft] = useState('');
  const conversation = useConversation(phrases);
  const pane = useFollowedPane();

  const { exchanges, running } = conversation;
  const send = () => {
    if (running || draft.trim() === '') return;
    pane.follow();
    setDraft('');
    void conversation.send(draft, settings);
  };

  return (
    <div class="grid gap-8 lg:grid-cols-[18rem_minmax(0,1fr)]">
      <section aria-labelledby="conversation" class="min-w-0">
        <h2 id="conversation" class="mb-3">
          {phrases.conversation}
        </h2>
        <ExchangeLog phrases={phrases} f={f} conversation={conversation} pinned={pinned} pane={pane} />
        <Composer
          phrases={phrases}
          draft={draft}
          onDraft={setDraft}
          running={running}
          isBegun={exchanges.length > 0}
          onSend={send}
          onStop={() => conversation.stop()}
          onRetry={() => conversation.retry(settings)}
          onClear={() => conversation.clear()}
        />
        <CodePanel phrases={phrases} codes={asCode(baseUrl, shownBody())} />
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

  /** The request that the code panel shows: that of the draft, or else that of the last question. */
  function shownBody() {
    if (draft.trim() !== '') return bodyFor(settings, exchanges, draft);
    const last = exchanges.at(-1);
    return bodyFor(settings, exchanges.slice(0, -1), last?.question ?? phrases.draftStandIn);
  }
}

function ExchangeLog(props: {
  phrases: Phrases;
  f: Formats;
  conversation: Conversation;
  pinned: boolean;
  pane: ReturnType<typeof useFollowedPane>;
}) {
  const { phrases, f, conversation, pinned, pane } = props;
  const { exchanges, running } = conversation;
  return (
    // aria-busy delays screen readers until an answer is complete, so that they do not read token by token
    <div
      ref={pane.ref}
      role="log"
      aria-labelledby="conversation"
      aria-live="polite"
      aria-busy={running ? 'true' : 'false'}
      tabindex={0}
      class="panel mb-4 h-104 overflow-y-auto px-4 py-4 sm:px-5"
      onScroll={pane.onScroll}
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
  );
}

/** The conversation of the page, which redraws the component whenever it changes. */
function useConversation(phrases: Phrases): Conversation {
  const [conversation] = useState(() => new Conversation(phrases));
  const [, redraw] = useState(0);
  useEffect(() => {
    conversation.onChange = () => redraw((count) => count + 1);
  }, []);
  return conversation;
}

/** A pane that stays scrolled to its end after each draw, unless the reader has scrolled up. `follow` resumes that. */
function useFollowedPane() {
  const ref = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    if (ref.current && atEnd.current) ref.current.scrollTop = ref.current.scrollHeight;
  });
  return {
    ref,
    follow() {
      atEnd.current = true;
    },
    onScroll() {
      const { scrollHeight, scrollTop, clientHeight } = ref.current!;
      atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    },
  };
}
