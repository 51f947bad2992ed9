/** The form of the buyer's name and address on invoices. */
import type { Buyer } from '../../db/schema/payments.ts';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

/** Codes of ISO 3166-1 alpha-2 that `Intl` has a name for. */
export const COUNTRIES: readonly string[] = countryCodes();

export function BillingDetails(props: {
  c: PortalContext;
  buyer: Buyer | null;
  typed?: Typed;
  faults?: Faults;
}) {
  const { c, buyer, typed, faults } = props;
  const { t, locale } = words(c);
  const names = t.billing.details;
  const lines = buyer?.address.split('\n') ?? [];
  const fields = { c, typed, faults };
  const countries = new Intl.DisplayNames(locale, { type: 'region' });
  const options = COUNTRIES.map((code) => [code, countries.of(code) ?? code] as const);
  options.sort((a, b) => a[1].localeCompare(b[1], locale));
  return (
    <section aria-labelledby="details" class="mb-12 max-w-xl">
      <h2 id="details" class="mb-1">
        {names.title}
      </h2>
      <p class="muted mb-4 text-sm">{names.lead}</p>
      <form method="post" action="/billing/details" class="grid gap-5 sm:grid-cols-2" novalidate>
        <div class="sm:col-span-2">
          <TextField
            {...fields}
            name="legalName"
            label={names.legalName}
            value={buyer?.legalName}
            autocomplete="organization"
          />
        </div>
        <div class="sm:col-span-2">
          <TextField
            {...fields}
            name="street"
            label={names.street}
            value={lines[0]}
            autocomplete="address-line1"
          />
        </div>
        <TextField {...fields} name="city" label={names.city} value={lines[1]} autocomplete="address-line2" />
        <SelectField
          {...fields}
          name="country"
          label={names.country}
          value={buyer?.country ?? 'US'}
          options={options}
        />
        <TextField
          {...fields}
          name="taxId"
          label={names.taxId}
          hint={names.taxIdHint}
          value={buyer?.taxId ?? ''}
        />
        <div class="sm:col-span-2">
          <button class="btn" type="submit">
            {names.save}
          </button>
        </div>
      </form>
    </section>
  );
}

function countryCodes(): string[] {
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
  // codes that `Intl` names but ISO 3166-1 does not assign: unions, test codes and exceptional reservations
  const unassigned = new Set([
    'EU',
    'EZ',
    'UN',
    'QO',
    'XA',
    'XB',
    'ZZ',
    'AC',
    'CP',
    'CQ',
    'DG',
    'EA',
    'IC',
    'TA',
    'XK',
  ]);
  return letters
    .flatMap((first) => letters.map((second) => first + second))
    .filter(
      (code) =>
        !unassigned.has(code) &&
        names.of(code) !== undefined &&
        new Intl.Locale(`und-${code}`).region === code,
    );
}
