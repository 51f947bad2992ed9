/** Auto-recharge: the saved card, the rule by which it is charged, and the reason if it was turned off automatically. */

import { TOP_UP_MAX, TOP_UP_MIN } from '../../billing/payable.ts';
import type { AutoRecharge } from '../../db/auto-recharge.ts';
import type { RechargeOffReason } from '../../domain/decline-reasons.ts';
import { type NanoUsd, nanoUsd, usd } from '../../domain/money.ts';
import { Callout } from '../components/callout.tsx';
import { TextField } from '../components/field.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { Faults, Typed } from '../frame/form.ts';

/** Proposed amounts of a rule that was never set. */
const PROPOSED = { belowNanoUsd: usd(10), amountNanoUsd: usd(50), monthlyMaxNanoUsd: usd(500) };

interface Props {
  readonly c: PortalContext;
  readonly rule: AutoRecharge | null;
  readonly rechargedNanoUsd: NanoUsd;
  readonly typed?: Typed;
  readonly faults?: Faults;
}

export function RechargeSection(props: Props) {
  const { c, rule } = props;
  const { t } = words(c);
  const state = rule?.enabled ? 'on' : 'off';
  return (
    <section aria-labelledby="recharge" class="mb-12 max-w-xl">
      <h2 id="recharge" class="mb-1 flex items-center gap-2">
        {t.billing.rechargeTitle}
        <span class={`badge badge-sm badge-soft ${state === 'on' ? 'badge-success' : ''}`}>
          {t.billing.rechargeState[state]}
        </span>
      </h2>
      <p class="muted mb-4 text-sm">{t.billing.rechargeNote}</p>
      {rule?.offReason && (
        <Callout tone="warning">
          <strong>{t.billing.offTitle}</strong> {t.billing.declines[rule.offReason as RechargeOffReason]}
        </Callout>
      )}
      <SavedCard c={c} label={rule?.methodLabel ?? null} />
      {rule?.methodRef && <RuleForm {...props} rule={rule} />}
    </section>
  );
}

function SavedCard({ c, label }: { c: PortalContext; label: string | null }) {
  const { t } = words(c);
  return (
    <div class="mb-6 flex flex-wrap items-center gap-2 rounded-box border border-base-300 px-4 py-3">
      {label === null ? (
        <p class="w-full text-sm">{t.billing.noCard}</p>
      ) : (
        <p class="grow">
          <span class="muted block text-sm">{t.billing.card}</span>
          <span class="font-medium">{label}</span>
        </p>
      )}
      <form method="post" action="/billing/card">
        <button class={`btn btn-sm ${label === null ? 'btn-primary' : ''}`} type="submit">
          {label === null ? t.billing.saveCard : t.billing.replaceCard}
        </button>
      </form>
      {label !== null && (
        <form method="post" action="/billing/card/remove">
          <button class="btn btn-sm" type="submit">
            {t.billing.removeCard}
          </button>
        </form>
      )}
    </div>
  );
}

function RuleForm({ c, rule, rechargedNanoUsd, typed, faults }: Props & { rule: AutoRecharge }) {
  const { t, f } = words(c);
  const fields = { c, typed, faults, inputmode: 'decimal' as const };
  const value = (name: keyof typeof PROPOSED) => f.usdField(nanoUsd(rule[name] || PROPOSED[name]));
  return (
    <>
      <form method="post" action="/billing/recharge" class="grid gap-5" novalidate>
        <TextField
          {...fields}
          name="belowUsd"
          label={t.billing.below}
          hint={t.billing.belowHint}
          value={value('belowNanoUsd')}
        />
        <TextField
          {...fields}
          name="rechargeUsd"
          label={t.billing.rechargeAmount}
          hint={t.billing.rechargeAmountHint(f.usd(TOP_UP_MIN), f.usd(TOP_UP_MAX))}
          value={value('amountNanoUsd')}
        />
        <TextField
          {...fields}
          name="monthlyMaxUsd"
          label={t.billing.monthlyMax}
          hint={t.billing.monthlyMaxHint(f.usd(rechargedNanoUsd))}
          value={value('monthlyMaxNanoUsd')}
        />
        <div class="flex flex-wrap gap-3">
          <button class="btn btn-primary" type="submit">
            {rule.enabled ? t.billing.changeRule : t.billing.turnOn}
          </button>
          {rule.enabled && (
            <button class="btn" type="submit" form="recharge-off">
              {t.billing.turnOff}
            </button>
          )}
        </div>
      </form>
      <form id="recharge-off" method="post" action="/billing/recharge/off" />
    </>
  );
}
