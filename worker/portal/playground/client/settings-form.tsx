/** The settings beside the conversation. A change applies from the next question on. */
import type { Child } from 'hono/jsx';
import type { Formats } from '../../../i18n/formats.ts';
import type { PlaygroundData } from './data.ts';
import { fill } from './fill.ts';
import { inputValue } from './input-value.ts';
import { SchemaField } from './schema-field.tsx';
import type { Settings } from './settings.ts';

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
  const set = (name: keyof Settings) => (event: Event) =>
    onSettings({ ...settings, [name]: inputValue(event) });
  const model = models.find(({ id }) => id === settings.model)!;
  return (
    <section aria-labelledby="settings" class="lg:order-first">
      <h2 id="settings" class="mb-3">
        {phrases.settings}
      </h2>
      <div class="grid grid-cols-2 gap-4 lg:grid-cols-1">
        <SelectField
          id="model"
          label={phrases.model}
          options={models.map(({ id }) => ({ id, name: id }))}
          value={settings.model}
          onChange={set('model')}
        />
        <Labelled id="system" label={phrases.system} wide>
          <textarea id="system" rows={3} class="textarea w-full" onInput={set('system')} />
        </Labelled>
        <NumberField
          id="max-tokens"
          label={phrases.maxTokens}
          hint={fill(phrases.maxTokensHint, { tokens: f.count(model.outputTokensDefault) })}
          min={1}
          max={model.outputTokensMax}
          step={1}
          onInput={set('maxTokens')}
        />
        <NumberField
          id="temperature"
          label={phrases.temperature}
          hint={phrases.temperatureHint}
          min={0}
          max={2}
          step="any"
          onInput={set('temperature')}
        />
        <SchemaField phrases={phrases} schema={settings.schema} onInput={set('schema')} />
        <SelectField
          id="key"
          label={phrases.key}
          hint={phrases.keyHint}
          options={keys}
          value={settings.keyId}
          onChange={set('keyId')}
        />
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

function SelectField(props: {
  id: string;
  label: string;
  hint?: string;
  options: readonly { readonly id: string; readonly name: string }[];
  value: string;
  onChange: (event: Event) => void;
}) {
  const { id, label, hint, options, value, onChange } = props;
  return (
    <Labelled id={id} label={label} hint={hint} wide>
      <select
        id={id}
        class="select w-full"
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onChange={onChange}
      >
        {options.map((option) => (
          <option value={option.id} selected={option.id === value}>
            {option.name}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

function NumberField(props: {
  id: string;
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number | 'any';
  onInput: (event: Event) => void;
}) {
  const { id, label, hint, min, max, step, onInput } = props;
  return (
    <Labelled id={id} label={label} hint={hint}>
      <input
        id={id}
        type="number"
        min={min}
        max={max}
        step={step}
        aria-describedby={`${id}-hint`}
        class="input w-full"
        onInput={onInput}
      />
    </Labelled>
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
