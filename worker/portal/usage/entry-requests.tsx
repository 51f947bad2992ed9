/** The reference of a ledger entry: a request's id, or the time span of several requests that were charged together. */
import { isId, timeOfId } from '../../domain/ids.ts';
import { chargedRequests, type Entry, openingState } from '../../domain/ledger.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function EntryRequests({ c, entry }: { c: PortalContext; entry: Entry }) {
  const { t, f } = words(c);
  const { reference } = entry;
  if (isId('req', reference))
    return (
      <a class="link link-hover font-mono" href={`/requests/${reference}`}>
        {reference}
      </a>
    );
  if (entry.kind === 'opening')
    return <span title={reference}>{t.billing.opened(openingState(reference).seq)}</span>;
  if (entry.kind !== 'charge') return <span class="font-mono">{reference}</span>;
  const { first, last } = chargedRequests(reference);
  return (
    <a class="link link-hover" href={`/requests?entry=${entry.seq}`} title={reference}>
      {t.requests.span(f.clock(timeOfId(first)), f.clock(timeOfId(last)))}
    </a>
  );
}
