/** The delivery log: each notice with its recipient, its state, and the reason of a failure. */
import type { LoggedDelivery } from '../../db/notice-deliveries.ts';
import { noticeWords } from '../../notifications/wording.ts';
import { Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

const TONES = { waiting: 'badge-info', delivered: 'badge-success', failed: 'badge-error' } as const;

/** @param props.keyNames names of keys, by key id */
export function DeliveryLog(props: {
  c: PortalContext;
  deliveries: readonly LoggedDelivery[];
  keyNames: ReadonlyMap<string, string>;
}) {
  const { c, deliveries, keyNames } = props;
  const { t } = words(c);
  const { alerts } = t;
  const heads = [
    alerts.time,
    alerts.notice,
    alerts.to,
    alerts.state,
    alerts.attempts,
    alerts.last,
    alerts.next,
  ];
  return (
    <section aria-labelledby="log" class="mt-12">
      <h2 id="log" class="mb-1">
        {alerts.logTitle}
      </h2>
      <p class="muted mb-3 text-sm">{alerts.logNote}</p>
      {deliveries.length === 0 ? (
        <p>{alerts.logEmpty}</p>
      ) : (
        <Sheet label={alerts.logTitle}>
          <thead>
            <tr>
              {heads.map((name) => (
                <th scope="col">{name}</th>
              ))}
              <th scope="col">
                <span class="sr-only">{alerts.actions}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {deliveries.map((delivery) => (
              <Row c={c} delivery={delivery} keyNames={keyNames} />
            ))}
          </tbody>
        </Sheet>
      )}
    </section>
  );
}

function Row(props: { c: PortalContext; delivery: LoggedDelivery; keyNames: ReadonlyMap<string, string> }) {
  const { c, delivery, keyNames } = props;
  const { t, f } = words(c);
  const { alerts } = t;
  const { notice, atMs } = delivery.notification;
  const keyId = notice.kind === 'cap.used' ? notice.keyId : null;
  const noticeText = noticeWords(notice, { t, f }, keyId && (keyNames.get(keyId) ?? null));
  const last = [delivery.lastStatus, delivery.lastFault && (alerts.faults[delivery.lastFault] ?? null)];
  return (
    <tr>
      <td>{f.dateTime(atMs)}</td>
      <td class="wraps">
        <bdi>{noticeText.text}</bdi>
      </td>
      <td class="wraps">
        <bdi>{delivery.url ?? delivery.target}</bdi>
        {delivery.channel === 'webhook' && <span class="muted block font-mono">{delivery.id}</span>}
      </td>
      <td>
        <span class={`badge badge-sm badge-soft ${TONES[delivery.state]}`}>
          {alerts.states[delivery.state]}
        </span>
      </td>
      <td>{f.count(delivery.attempts)}</td>
      <td>{last.filter(Boolean).join(': ') || '–'}</td>
      <td>{delivery.nextAtMs === null ? '–' : f.dateTime(delivery.nextAtMs)}</td>
      <td>
        {delivery.state === 'failed' && (
          <form method="post" action={`/alerts/deliveries/${delivery.id}/again`}>
            <button class="btn btn-sm btn-ghost" type="submit" aria-label={`${alerts.again}: ${delivery.id}`}>
              {alerts.again}
            </button>
          </form>
        )}
      </td>
    </tr>
  );
}
