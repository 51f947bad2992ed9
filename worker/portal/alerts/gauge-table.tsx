/** The current use of the limits of the account and of each key, in words and as a bar. */
import { type Load, periodEndMs } from '../../domain/limits.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';
import type { LimitGauge } from './gauges.ts';

export function GaugeTable(props: { c: PortalContext; gauges: readonly LimitGauge[]; nowMs: number }) {
  const { c, gauges, nowMs } = props;
  const { t, f } = words(c);
  const { alerts } = t;
  return (
    <Sheet label={alerts.loadTitle}>
      <Heads names={[alerts.whose, alerts.requests, alerts.tokens, alerts.inFlight, alerts.cap]} />
      <tbody>
        {gauges.map(({ name, limits, load }) => (
          <tr>
            <th scope="row" class="wraps">
              <bdi>{name}</bdi>
            </th>
            {load === null ? (
              <td colspan={4}>{alerts.unknown}</td>
            ) : (
              <>
                <td>
                  <Gauge
                    c={c}
                    used={load.requestsLastMinute}
                    limit={limits.requestsPerMinute}
                    format={f.count}
                  />
                </td>
                <td>
                  <Gauge c={c} used={load.tokensLastMinute} limit={limits.tokensPerMinute} format={f.count} />
                </td>
                <td>
                  <Gauge c={c} used={load.inFlight} limit={limits.concurrency} format={f.count} />
                </td>
                <td>
                  <Cap c={c} limits={limits} load={load} nowMs={nowMs} />
                </td>
              </>
            )}
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}

function Cap(props: { c: PortalContext; limits: LimitGauge['limits']; load: Load; nowMs: number }) {
  const { c, limits, load, nowMs } = props;
  const { t, f } = words(c);
  if (limits.capNanoUsd === null) return <>{t.keys.noCap}</>;
  const exact = (amount: number) => f.usdExact(nanoUsd(amount)).join('');
  const endsAtMs = periodEndMs(limits.capPeriod, nowMs);
  return (
    <>
      <Gauge c={c} used={load.spentNanoUsd + load.heldNanoUsd} limit={limits.capNanoUsd} format={exact} />
      <span class="muted">
        {t.keys.periods[limits.capPeriod]}
        {', '}
        {endsAtMs === null ? t.alerts.resetsNever : t.alerts.resets(f.dateTime(endsAtMs))}
      </span>
    </>
  );
}

function Gauge(props: {
  c: PortalContext;
  used: number;
  limit: number | null;
  format: (amount: number) => string;
}) {
  const { c, used, limit, format } = props;
  const { t, f } = words(c);
  if (limit === null) return <>{t.alerts.unlimited(format(used))}</>;
  const isReached = used >= limit;
  return (
    <>
      {t.alerts.used(format(used), format(limit), f.percent(limit === 0 ? 1 : used / limit))}
      {isReached && <strong class="text-error">{` ${t.alerts.reached}`}</strong>}
      <progress
        class={`progress block ${isReached ? 'progress-error' : 'progress-primary'}`}
        value={Math.min(used, limit)}
        max={Math.max(limit, 1)}
        aria-hidden="true"
      />
    </>
  );
}
