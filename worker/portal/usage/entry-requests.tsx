/** What an entry refers to, as text: of several requests that were charged together the times of the first and the last. */
import { isId, timeOfId } from '../../domain/ids.ts';
import { chargedRequests, type Entry } from '../../domain/ledger.ts';
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
  if (entry.kind !== 'charge') return <span class="font-mono">{reference}</span>;
  const { first, last } = chargedRequests(reference);
  return (
    <a class="link link-hover" href={`/requests?entry=${entry.seq}`} title={reference}>
      {t.requests.span(f.clock(timeOfId(first)), f.clock(timeOfId(last)))}
    </a>
  );
}
