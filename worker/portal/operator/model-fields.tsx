/** The fields of a model's form. */
import { AreaField, TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';
import { PRICE_FIELDS, profileFaults } from './model-form.ts';

interface Fields {
  readonly c: PortalContext;
  readonly typed: Typed;
  readonly faults?: Faults;
}

export function ModelFields({ isNew, ...fields }: Fields & { isNew?: boolean }) {
  const names = words(fields.c).t.operator.models;
  return (
    <div class="grid items-start gap-5 sm:grid-cols-6">
      {isNew && (
        <div class="sm:col-span-3">
          <TextField {...fields} name="id" label={names.id} hint={names.idHint} required />
        </div>
      )}
      <div class="sm:col-span-3">
        <TextField {...fields} name="name" label={names.name} hint={names.nameHint} required />
      </div>
      <div class="sm:col-span-3">
        <AreaField {...fields} name="aliases" label={names.aliases} hint={names.aliasesHint} rows={3} />
      </div>
      <div class="sm:col-span-3">
        <AreaField {...fields} name="modelPaths" label={names.paths} hint={names.pathsHint} rows={3} />
      </div>
      <div class="sm:col-span-3">
        <TextField {...fields} name="revision" label={names.revision} hint={names.revisionHint} required />
      </div>
      <div class="sm:col-span-3">
        <TextField {...fields} name="license" label={names.license} hint={names.licenseHint} required />
      </div>
      {(['contextTokens', 'outputTokensMax', 'outputTokensDefault'] as const).map((name) => (
        <div class="sm:col-span-2">
          <TextField {...fields} name={name} label={names[name]} inputmode="numeric" required />
        </div>
      ))}
      <ProfileField {...fields} />
      {isNew && <PriceFields {...fields} />}
    </div>
  );
}

function ProfileField(fields: Fields) {
  const { c, typed, faults } = fields;
  const names = words(c).t.operator.models;
  const wrong = faults?.profile === 'profile' ? profileFaults(c, typed) : [];
  return (
    <div class="sm:col-span-6">
      <AreaField {...fields} name="profile" label={names.profile} hint={names.profileHint} rows={18} isCode />
      {wrong.length > 0 && (
        <ul class="mt-2 list-disc ps-5 text-sm text-error">
          {wrong.map(({ path, message }) => (
            <li>
              <code>{path || names.profile}</code> {message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function PriceFields(fields: Fields) {
  const { t } = words(fields.c);
  const names = t.operator.models;
  const kinds = [t.operator.prices.cacheHit, t.operator.prices.cacheMiss, t.operator.prices.output];
  return (
    <fieldset class="grid items-start gap-5 sm:col-span-6 sm:grid-cols-6">
      <legend class="mb-1 font-semibold">{names.prices}</legend>
      <p class="muted text-sm sm:col-span-6">{names.pricesNote}</p>
      {PRICE_FIELDS.map((name, index) => (
        <div class="sm:col-span-2">
          <TextField
            {...fields}
            name={name}
            label={names.priceLabel(
              t.operator.prices.tariffs[index < 3 ? 'standard' : 'batch'],
              kinds[index % 3]!,
            )}
            inputmode="decimal"
          />
        </div>
      ))}
      <div class="sm:col-span-6">
        <TextField
          {...fields}
          name="source"
          label={t.operator.prices.source}
          hint={t.operator.prices.sourceHint}
        />
      </div>
    </fieldset>
  );
}
