/** One field of a form: label, hint, typed value and fault, linked for screen readers. */
import type { Child } from 'hono/jsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

export interface FieldProps {
  readonly c: PortalContext;
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly typed?: Typed;
  readonly faults?: Faults;
}

export function TextField(
  props: FieldProps & {
    type?: 'text' | 'email' | 'password' | 'datetime-local' | 'time';
    autocomplete?: string;
    inputmode?: 'decimal' | 'numeric' | 'email';
    required?: boolean;
    value?: string;
  },
) {
  const { name, type = 'text', autocomplete = 'off', inputmode, required, typed, faults } = props;
  // a password is never sent back into a page
  const value = type === 'password' ? undefined : (typed?.[name] ?? props.value);
  return (
    <Labelled {...props}>
      <input
        id={name}
        name={name}
        type={type}
        value={value}
        autocomplete={autocomplete}
        inputmode={inputmode}
        required={required}
        aria-invalid={faults?.[name] ? 'true' : undefined}
        aria-describedby={describedBy(props)}
        class={`input w-full ${faults?.[name] ? 'input-error' : ''}`}
      />
    </Labelled>
  );
}

/** Several lines of text; `isCode`: in a font of equal widths, and without the browser's corrections. */
export function AreaField(props: FieldProps & { rows: number; isCode?: boolean }) {
  const { name, rows, isCode, typed, faults } = props;
  return (
    <Labelled {...props}>
      <textarea
        id={name}
        name={name}
        rows={rows}
        spellcheck={isCode ? false : undefined}
        autocomplete="off"
        aria-invalid={faults?.[name] ? 'true' : undefined}
        aria-describedby={describedBy(props)}
        class={`textarea w-full ${isCode ? 'font-mono text-sm' : ''} ${faults?.[name] ? 'textarea-error' : ''}`}
      >
        {typed?.[name] ?? ''}
      </textarea>
    </Labelled>
  );
}

export function SelectField(
  props: FieldProps & { options: readonly (readonly [value: string, text: string])[]; value?: string },
) {
  const { name, options, typed, value } = props;
  const chosen = typed?.[name] ?? value;
  return (
    <Labelled {...props}>
      <select id={name} name={name} class="select w-full" aria-describedby={describedBy(props)}>
        {options.map(([each, text]) => (
          <option value={each} selected={each === chosen}>
            {text}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

function Labelled({ c, name, label, hint, faults, children }: FieldProps & { children?: Child }) {
  const { t } = words(c);
  const fault = faults?.[name];
  return (
    <div>
      <label for={name} class="mb-1 block text-sm font-medium wrap-anywhere">
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${name}-hint`} class="muted mt-1 text-sm">
          {hint}
        </p>
      )}
      {fault && (
        <p id={`${name}-fault`} class="mt-1 text-sm font-medium text-error">
          {t.faults[fault]}
        </p>
      )}
    </div>
  );
}

function describedBy({ name, hint, faults }: FieldProps): string | undefined {
  const ids = [hint && `${name}-hint`, faults?.[name] && `${name}-fault`].filter(Boolean);
  return ids.length > 0 ? ids.join(' ') : undefined;
}
