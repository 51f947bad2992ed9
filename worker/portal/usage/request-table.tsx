/** Ended requests, one per row; the id links to the page with the arithmetic. */
import type { RequestRow } from '../../db/requests.ts';
import { nanoUsd } from '../../domain/money.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function RequestTable(props: {
  c: PortalContext;
  rows: readonly RequestRow[];
  keyNames: ReadonlyMap<string, string>;
}) {
  const { c, rows, keyNames } = props;
  const { t, f } = words(c);
  const { kinds } = t.usage;
  return (
    <Sheet label={t.requests.title}>
      <Heads
        names={[
          `${t.requests.request}, ${t.requests.admitted}`,
          t.usage.key,
          t.usage.model,
          t.requests.ending,
          `#${t.usage.chargeUsd}`,
          `#${t.usage.ttft}`,
          `#${kinds.cached}`,
          `#${kinds.uncached}`,
          `#${kinds.reasoning}`,
          `#${kinds.answer}`,
        ]}
      />
      <tbody>
        {rows.map((row) => (
          <tr>
            <th scope="row" class="font-normal">
              <a class="link font-mono" href={`/requests/${row.requestId}`}>
                {row.requestId}
              </a>
              <span class="muted block">{f.moment(row.admittedAtMs)}</span>
            </th>
            <td class="max-w-32 truncate">
              <bdi>{keyNames.get(row.keyId) ?? t.usage.removedKey}</bdi>
            </td>
            <td>{row.modelId}</td>
            <td>{t.usage.endings[row.ending] ?? row.ending}</td>
            <td class="num font-mono">{f.usdColumn(nanoUsd(row.chargeNanoUsd))}</td>
            <td class="num">{row.ttftMs === null ? '–' : f.duration(row.ttftMs)}</td>
            <td class="num">{f.count(row.cachedTokens)}</td>
            <td class="num">{f.count(row.promptTokens - row.cachedTokens)}</td>
            <td class="num">{f.count(row.reasoningTokens)}</td>
            <td class="num">{f.count(row.completionTokens - row.reasoningTokens)}</td>
          </tr>
        ))}
      </tbody>
    </Sheet>
  );
}
