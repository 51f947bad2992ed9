/** The filter above a table or chart: a row of selects whose values become the page's query. */
import type { Model } from '../../db/catalogue.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import { type PortalContext, words } from '../frame/context.ts';

export type FilterOption = readonly [value: string, text: string];

export interface FilterSelect {
  /** name of the query's parameter */
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly options: readonly FilterOption[];
}

export function keySelect(c: PortalContext, keys: readonly ApiKeyRow[], chosen: string | null): FilterSelect {
  const options = keys.map((key): FilterOption => [key.id, `${key.name} …${key.lastFour}`]);
  return { name: 'key', label: words(c).t.usage.key, value: chosen ?? '', options: orAll(c, options) };
}

export function modelSelect(c: PortalContext, models: readonly Model[], chosen: string | null): FilterSelect {
  const options = models.map(({ id }): FilterOption => [id, id]);
  return { name: 'model', label: words(c).t.usage.model, value: chosen ?? '', options: orAll(c, options) };
}

function orAll(c: PortalContext, options: readonly FilterOption[]): FilterOption[] {
  return [['', words(c).t.usage.all], ...options];
}

/** @param props.class utility classes that place the form on its page */
export function FilterForm(props: { c: PortalContext; selects: readonly FilterSelect[]; class: string }) {
  const { c, selects } = props;
  return (
    <form method="get" class={`grid grid-cols-2 items-end gap-3 sm:flex sm:flex-wrap ${props.class}`}>
      {selects.map(({ name, label, value, options }) => (
        <label class="grid gap-1 text-sm">
          <span class="muted">{label}</span>
          <select name={name} class="select select-sm w-full sm:w-44">
            {options.map(([each, text]) => (
              <option value={each} selected={each === value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      ))}
      <button class="btn btn-sm border-base-300 max-sm:justify-self-start" type="submit">
        {words(c).t.usage.apply}
      </button>
    </form>
  );
}
