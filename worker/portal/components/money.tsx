/** An exact amount: dollars and cents, followed by the digits beyond cents in a fainter colour. */
import type { NanoUsd } from '../../domain/money.ts';
import { type PortalContext, words } from '../frame/context.ts';

export function Money({ c, amount }: { c: PortalContext; amount: NanoUsd }) {
  const [head, beyondCents, tail] = words(c).f.usdExact(amount);
  return (
    <>
      {head}
      {beyondCents && <span class="beyond-cents">{beyondCents}</span>}
      {tail}
    </>
  );
}
