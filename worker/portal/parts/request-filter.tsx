/** The filter over the list of requests: a plain form, so that its address says what is shown. */
import type { Model } from '../../db/catalogue.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import { type PortalContext, words } from '../context.ts';
import { ENDINGS, type RequestQuery } from '../request-query.ts';

export function RequestFilterForm(props: {
  c: PortalContext;
  keys: readonly ApiKeyRow[];
  models: readonly Model[];
  chosen: RequestQuery;
}) {
  const { c, keys, models, chosen } = props;
  const { t } = words(c);
  const selects = [
    {
      name: 'period',
      label: t.requests.period,
      value: chosen.period,
      options: Object.entries(t.requests.periods),
    },
    {
      name: 'key',
      label: t.usage.key,
      value: chosen.keyId ?? '',
      options: [['', t.usage.all], ...keys.map((key) => [key.id, `${key.name} …${key.lastFour}`])],
    },
    {
      name: 'model',
      label: t.usage.model,
      value: chosen.modelId ?? '',
      options: [['', t.usage.all], ...models.map((model) => [model.id, model.id])],
    },
    {
      name: 'ending',
      label: t.requests.ending,
      value: chosen.ending ?? '',
      options: [
        ['', t.requests.anyEnding],
        ...ENDINGS.map((ending) => [ending, t.usage.endings[ending] ?? ending]),
      ],
    },
  ];
  return (
    <form method="get" class="mb-6 grid grid-cols-2 items-end gap-3 sm:flex sm:flex-wrap">
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
        {t.usage.apply}
      </button>
    </form>
  );
}
