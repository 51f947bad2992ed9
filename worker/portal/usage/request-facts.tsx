/** The facts of a request: key, model, node, times, and the price version that it was charged at. */
import type { Child } from 'hono/jsx';
import type { PriceRow } from '../../db/prices.ts';
import type { RequestRecord } from '../../domain/wallet.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function RequestFacts(props: {
  c: PortalContext;
  record: RequestRecord;
  keyName: string;
  nodeName: string;
  /** null: the version's row is missing, although nothing deletes such rows */
  price: PriceRow | null;
}) {
  const { c, record, keyName, nodeName, price } = props;
  const { t, f } = words(c);
  const names = t.requests.one;
  const facts: [string, Child][] = [
    [names.key, <bdi>{keyName}</bdi>],
    [names.model, record.modelId],
    [names.node, <span class="break-all">{nodeName}</span>],
    [names.stream, record.stream ? names.streamed : names.whole],
    [names.admitted, f.moment(record.admittedAtMs)],
    [names.ended, record.endedAtMs === null ? '–' : f.moment(record.endedAtMs)],
    [names.ttft, record.ttftMs === null ? '–' : f.duration(record.ttftMs)],
    [
      names.price,
      <>
        <span class="font-mono break-all">{record.price.id}</span>
        {price && <span class="muted block">{termsOf(c, price)}</span>}
      </>,
    ],
  ];
  return (
    <section aria-labelledby="facts" class="mb-10">
      <h2 id="facts" class="mb-2">
        {names.factsTitle}
      </h2>
      <dl class="grid grid-cols-[max-content_1fr] gap-x-6 gap-y-1 text-sm">
        {facts.map(([name, value]) => (
          <>
            <dt class="muted">{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
    </section>
  );
}

function termsOf(c: PortalContext, price: PriceRow): string {
  const { t, f } = words(c);
  const names = t.requests.one;
  const { dailyFromMinute: from, dailyToMinute: to } = price;
  const dates =
    price.toMs === null
      ? names.priceFrom(f.dateTime(price.fromMs))
      : names.priceFromTo(f.dateTime(price.fromMs), f.dateTime(price.toMs));
  if (from === null || to === null) return dates;
  return `${dates}, ${names.priceHours(f.time(from * 60_000), f.time(to * 60_000))}`;
}
