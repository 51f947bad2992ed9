/** An exact amount: dollars and cents to read, and the digits beyond them, fainter. */
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
