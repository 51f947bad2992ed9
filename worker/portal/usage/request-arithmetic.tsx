/** Tokens by kind, and the charge line by line to the nano-USD, so that it can be recomputed by hand. */
import { billOf } from '../../domain/bill.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { RequestRecord } from '../../domain/wallet.ts';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export function RequestArithmetic(props: {
  c: PortalContext;
  record: RequestRecord;
  creditedBackNanoUsd: NanoUsd;
}) {
  const { c, record, creditedBackNanoUsd } = props;
  const { t, f } = words(c);
  const names = t.requests.one;
  const { usage } = record;
  const bill = billOf(usage, record.price);
  const tokens = [
    [names.kinds.cached, usage.cachedTokens],
    [names.kinds.uncached, usage.promptTokens - usage.cachedTokens],
    [names.kinds.reasoning, usage.reasoningTokens],
    [names.kinds.answer, usage.completionTokens - usage.reasoningTokens],
  ] as const;
  return (
    <>
      <section aria-labelledby="tokens" class="mb-10 max-w-xl">
        <h2 id="tokens" class="mb-2">
          {names.tokensTitle}
        </h2>
        <dl class="grid grid-cols-[1fr_max-content] gap-x-6 gap-y-1 text-sm tabular-nums">
          {tokens.map(([name, count]) => (
            <>
              <dt class="muted">{name}</dt>
              <dd class="text-end">{f.count(count)}</dd>
            </>
          ))}
        </dl>
      </section>
      <section aria-labelledby="sum" class="mb-10 max-w-3xl">
        <h2 id="sum" class="mb-1">
          {names.sumTitle}
        </h2>
        <p class="muted mb-2 text-sm">{names.sumNote}</p>
        <Sheet label={names.sumTitle}>
          <Heads names={[names.line, `#${names.timesEach}`, `#= ${names.amount}`]} />
          <tbody>
            {bill.lines.map((line) => (
              <tr>
                <th scope="row">{names.lines[line.kind]}</th>
                <td class="num">
                  {f.count(line.tokens)} × {f.count(line.perTokenNanoUsd)}
                </td>
                <td class="num">{f.count(line.amountNanoUsd)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <Sum c={c} name={names.sum} amount={bill.sumNanoUsd} />
            {creditedBackNanoUsd > 0 && (
              <>
                <Sum c={c} name={names.givenLine} amount={nanoUsd(0 - creditedBackNanoUsd)} />
                <Sum c={c} name={names.paid} amount={nanoUsd(bill.sumNanoUsd - creditedBackNanoUsd)} />
              </>
            )}
          </tfoot>
        </Sheet>
      </section>
    </>
  );
}

function Sum({ c, name, amount }: { c: PortalContext; name: string; amount: NanoUsd }) {
  const { f } = words(c);
  return (
    <tr>
      <th scope="row" class="wraps">
        {name}
      </th>
      <td class="num font-normal">{f.usdExact(amount).join('')}</td>
      <td class="num">{f.count(amount)}</td>
    </tr>
  );
}
