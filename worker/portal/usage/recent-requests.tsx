/** The latest requests, each with the arithmetic that anyone can repeat to check its charge. */
import type { RecentRequest } from '../../db/usage.ts';
import { billOf } from '../../domain/bill.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function RecentRequests(props: {
  c: PortalContext;
  recent: readonly RecentRequest[];
  keyNames: ReadonlyMap<string, string>;
}) {
  const { c, recent, keyNames } = props;
  const { t, f } = words(c);
  return (
    <section class="mt-12">
      <h2 class="mb-1">{t.usage.recentTitle}</h2>
      <p class="muted mb-2 text-sm">{t.usage.recentNote}</p>
      <Sheet label={t.usage.recentTitle}>
        <Heads
          names={[
            t.usage.request,
            t.usage.ended,
            t.usage.key,
            t.usage.model,
            t.usage.ending,
            `#${t.usage.ttft}`,
            `#${t.usage.chargeUsd}`,
            `#${t.usage.entry}`,
          ]}
        />
        <tbody>
          {recent.map(({ event, price }) => (
            <>
              <tr id={event.requestId} class="led-in">
                <th scope="row" class="font-mono font-normal">
                  <a class="link link-hover" href={`/requests/${event.requestId}`}>
                    {event.requestId}
                  </a>
                </th>
                <td>{f.dateTime(event.endedAtMs)}</td>
                <td>
                  <bdi>{keyNames.get(event.keyId) ?? t.usage.removedKey}</bdi>
                </td>
                <td>{event.modelId}</td>
                <td>{t.usage.endings[event.ending] ?? event.ending}</td>
                <td class="num">{event.ttftMs === null ? '–' : f.duration(event.ttftMs)}</td>
                <td class="num font-mono">{f.usdColumn(nanoUsd(event.chargeNanoUsd))}</td>
                <td class="num">{event.entrySeq ?? '–'}</td>
              </tr>
              <tr>
                <td colspan={8} class="muted" title={event.priceId}>
                  <div class="stays">{price && <Arithmetic c={c} event={event} price={price} />}</div>
                </td>
              </tr>
            </>
          ))}
        </tbody>
      </Sheet>
    </section>
  );
}

function Arithmetic({
  c,
  event,
  price,
}: { c: PortalContext } & { [K in 'event' | 'price']: NonNullable<RecentRequest[K]> }) {
  const { t, f } = words(c);
  const names = t.usage.arithmeticParts;
  const { lines, sumNanoUsd } = billOf(event, price);
  return (
    <>
      {lines.map(({ kind, tokens, perTokenNanoUsd }, index) => (
        <>
          {index > 0 && ' + '}
          {names[kind]} {f.count(tokens)} × {f.count(perTokenNanoUsd)}
        </>
      ))}
      {` = ${f.count(sumNanoUsd)} ${t.usage.arithmeticUnit}`}
    </>
  );
}
