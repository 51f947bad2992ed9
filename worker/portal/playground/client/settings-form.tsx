/** What is chosen beside the conversation. Each change holds for the next question. */
import type { Child } from 'hono/jsx';
import type { Formats } from '../../../i18n/formats.ts';
import type { PlaygroundData } from './data.ts';
import { fill } from './fill.ts';
import type { Settings } from './settings.ts';
import { typedIn } from './typed-in.ts';

export function SettingsForm(props: {
  data: PlaygroundData;
  f: Formats;
  settings: Settings;
  onSettings: (settings: Settings) => void;
  pinned: boolean;
  onPinned: (pinned: boolean) => void;
}) {
  const { data, f, settings, onSettings, pinned, onPinned } = props;
  const { phrases, models, keys } = data;
  const set = (name: keyof Settings) => (event: Event) => onSettings({ ...settings, [name]: typedIn(event) });
  const model = models.find(({ id }) => id === settings.model)!;
  return (
    <section aria-labelledby="settings" class="lg:order-first">
      <h2 id="settings" class="mb-3">
        {phrases.settings}
      </h2>
      <div class="grid grid-cols-2 gap-4 lg:grid-cols-1">
        <Labelled id="model" label={phrases.model} wide>
          <select id="model" class="select w-full" onChange={set('model')}>
            {models.map(({ id }) => (
              <option value={id} selected={id === settings.model}>
                {id}
              </option>
            ))}
          </select>
        </Labelled>
        <Labelled id="system" label={phrases.system} wide>
          <textarea id="system" rows={3} class="textarea w-full" onInput={set('system')} />
        </Labelled>
        <Labelled
          id="max-tokens"
          label={phrases.maxTokens}
          hint={fill(phrases.maxTokensHint, { tokens: f.count(model.outputTokensDefault) })}
        >
          <input
            id="max-tokens"
            type="number"
            min={1}
            max={model.outputTokensMax}
            step={1}
            aria-describedby="max-tokens-hint"
            class="input w-full"
            onInput={set('maxTokens')}
          />
        </Labelled>
        <Labelled id="temperature" label={phrases.temperature} hint={phrases.temperatureHint}>
          <input
            id="temperature"
            type="number"
            min={0}
            max={2}
            step="any"
            aria-describedby="temperature-hint"
            class="input w-full"
            onInput={set('temperature')}
          />
        </Labelled>
        <Labelled id="key" label={phrases.key} hint={phrases.keyHint} wide>
          <select id="key" class="select w-full" aria-describedby="key-hint" onChange={set('keyId')}>
            {keys.map(({ id, name }) => (
              <option value={id} selected={id === settings.keyId}>
                {name}
              </option>
            ))}
          </select>
        </Labelled>
        <label class="col-span-full flex items-center gap-2 text-sm">
          <input
            id="pin"
            type="checkbox"
            class="checkbox checkbox-sm"
            checked={pinned}
            onChange={() => onPinned(!pinned)}
          />
          {phrases.pin}
        </label>
      </div>
    </section>
  );
}

function Labelled(props: { id: string; label: string; hint?: string; wide?: boolean; children?: Child }) {
  const { id, label, hint, wide, children } = props;
  return (
    <div class={wide ? 'col-span-full' : undefined}>
      <label for={id} class="mb-1 block text-sm font-medium">
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${id}-hint`} class="muted mt-1 text-sm">
          {hint}
        </p>
      )}
    </div>
  );
}
