/** Two forms of the alerts page: the account's spending cap, and the thresholds that send an alert. */
import * as z from 'zod';
import type { AccountRow } from '../../db/accounts.ts';
import type { NoticeSetting } from '../../db/notices.ts';
import { DEFAULT_ALERT_THRESHOLDS } from '../../domain/alert-thresholds.ts';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { CAP_PERIODS } from '../../domain/limits.ts';
import { nanoUsd } from '../../domain/money.ts';
import { SelectField, TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import { Choice, type Faults, OptionalUsd, type Typed } from '../frame/form.ts';

/** The shares of a cap, in percent, at which an alert can be chosen. */
const PERCENTS = DEFAULT_ALERT_THRESHOLDS.capPercents;

export const CapForm = (marks: NumberMarks) =>
  z.object({ capUsd: OptionalUsd(marks), capPeriod: Choice(CAP_PERIODS) });

/** A checkbox: browsers send it only if it is ticked. */
const Checkbox = z
  .string()
  .optional()
  .transform((text) => text !== undefined);

export const ThresholdForm = (marks: NumberMarks) =>
  z
    .looseObject({ lowBalanceUsd: OptionalUsd(marks), byEmail: Checkbox })
    .transform(({ lowBalanceUsd, byEmail, ...rest }) => ({
      lowBalanceNanoUsd: lowBalanceUsd,
      byEmail,
      capPercents: PERCENTS.filter((percent) => percentName(percent) in rest),
    }));

interface FormProps {
  readonly c: PortalContext;
  readonly typed?: Typed;
  readonly faults?: Faults;
}

export function CapSection({ account, ...fields }: FormProps & { account: AccountRow }) {
  const { t } = words(fields.c);
  return (
    <section aria-labelledby="cap" class="max-w-xl">
      <h2 id="cap" class="mb-1">
        {t.alerts.capTitle}
      </h2>
      <p class="muted mb-4 text-sm">{t.alerts.capNote}</p>
      <form method="post" action="/alerts/cap" class="grid gap-5 sm:grid-cols-2" novalidate>
        <TextField
          {...fields}
          name="capUsd"
          label={t.keys.cap}
          hint={t.keys.capHint}
          inputmode="decimal"
          value={usdText(fields.c, account.capNanoUsd)}
        />
        <SelectField
          {...fields}
          name="capPeriod"
          label={t.keys.capPeriod}
          value={account.capPeriod}
          options={CAP_PERIODS.map((period) => [period, t.keys.periods[period]])}
        />
        <button class="btn btn-primary justify-self-start" type="submit">
          {t.alerts.capSubmit}
        </button>
      </form>
    </section>
  );
}

export function ThresholdSection({ setting, ...fields }: FormProps & { setting: NoticeSetting }) {
  const { c, typed } = fields;
  const { t, f } = words(c);
  const isTicked = (name: string, saved: boolean) => (typed ? name in typed : saved);
  return (
    <section aria-labelledby="watch" class="max-w-xl">
      <h2 id="watch" class="mb-4">
        {t.alerts.watchTitle}
      </h2>
      <form method="post" action="/alerts/watch" class="grid gap-5" novalidate>
        <TextField
          {...fields}
          name="lowBalanceUsd"
          label={t.alerts.lowBalance}
          hint={t.alerts.lowBalanceHint}
          inputmode="decimal"
          value={usdText(c, setting.lowBalanceNanoUsd)}
        />
        <fieldset>
          <legend class="mb-2 text-sm font-medium">{t.alerts.percents}</legend>
          <div class="flex flex-wrap gap-x-6 gap-y-3">
            {PERCENTS.map((percent) => (
              <LabelledCheckbox
                name={percentName(percent)}
                checked={isTicked(percentName(percent), setting.capPercents.includes(percent))}
                text={f.percent(percent / 100)}
              />
            ))}
          </div>
        </fieldset>
        <LabelledCheckbox
          name="byEmail"
          checked={isTicked('byEmail', setting.byEmail)}
          text={t.alerts.byEmail}
        />
        {!c.get('person')!.emailVerified && (
          <p class="text-sm">
            {t.alerts.byEmailUnconfirmed}{' '}
            <a class="link" href="/settings">
              {t.alerts.byEmailConfirm}
            </a>
            .
          </p>
        )}
        <button class="btn btn-primary justify-self-start" type="submit">
          {t.alerts.watchSubmit}
        </button>
      </form>
    </section>
  );
}

function LabelledCheckbox({ name, checked, text }: { name: string; checked: boolean; text: string }) {
  return (
    <label class="flex items-center gap-2">
      <input type="checkbox" name={name} checked={checked} class="checkbox checkbox-sm" />
      {text}
    </label>
  );
}

function percentName(percent: number): string {
  return `percent${percent}`;
}

function usdText(c: PortalContext, amount: number | null): string {
  return amount === null ? '' : words(c).f.usdField(nanoUsd(amount));
}
