/** The filter above the list of requests: a plain form, so that the page's address holds the choice and can be shared. */

import type { Model } from '../../db/catalogue.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import {
  FilterForm,
  type FilterOption,
  type FilterSelect,
  keySelect,
  modelSelect,
} from '../components/filter-form.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { ENDINGS, type RequestQuery } from './request-query.ts';

export function RequestFilterForm(props: {
  c: PortalContext;
  keys: readonly ApiKeyRow[];
  models: readonly Model[];
  query: RequestQuery;
}) {
  const { c, keys, models, query } = props;
  const { t } = words(c);
  const selects: FilterSelect[] = [
    {
      name: 'period',
      label: t.requests.period,
      value: query.period,
      options: Object.entries(t.requests.periods),
    },
    keySelect(c, keys, query.keyId),
    modelSelect(c, models, query.modelId),
    {
      name: 'ending',
      label: t.requests.ending,
      value: query.ending ?? '',
      options: [
        ['', t.requests.anyEnding],
        ...ENDINGS.map((ending): FilterOption => [ending, t.usage.endings[ending] ?? ending]),
      ],
    },
  ];
  return <FilterForm c={c} selects={selects} class="mb-6" />;
}
