/**
 * Compares the real Wallet with a reference model of a few sums, over random histories in which any call may be repeated
 * and the object may restart at any time. Every history is then checked against the laws of money (tests/laws).
 */
import { evictDurableObject } from 'cloudflare:test';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nanoUsd } from '../../../worker/domain/money.ts';
import { limited, price, usage, walletWith } from './fixtures.ts';

/** The expected state: credit by origin, debt, and holds by request. */
class ReferenceWallet {
  granted = 0;
  paid = 0;
  owed = 0;
  readonly holds = new Map<string, number>();
  readonly done = new Set<string>();

  get held(): number {
    return [...this.holds.values()].reduce((sum, hold) => sum + hold, 0);
  }

  get available(): number {
    return this.granted + this.paid - this.held;
  }

  grant(id: string, amount: number): void {
    if (this.#isRepeated(`grant ${id}`)) return;
    this.granted += amount;
  }

  topUp(id: string, amount: number): void {
    if (this.#isRepeated(`top-up ${id}`)) return;
    const debt = Math.min(this.owed, amount);
    this.owed -= debt;
    this.paid += amount - debt;
  }

  correct(id: string, amount: number): void {
    if (this.#isRepeated(`correct ${id}`)) return;
    if (amount > 0) {
      const cancelled = Math.min(this.owed, amount);
      this.owed -= cancelled;
      this.paid += amount - cancelled;
      return;
    }
    const taken = Math.min(-amount, this.available);
    this.owed += -amount - taken;
    const fromPaid = Math.min(taken, this.paid);
    this.paid -= fromPaid;
    this.granted -= taken - fromPaid;
  }

  admit(id: string, wanted: number, least: number): boolean {
    if (this.done.has(`admit ${id}`)) return true;
    if (this.available < least) return false;
    this.done.add(`admit ${id}`);
    this.holds.set(id, Math.min(wanted, this.available));
    return true;
  }

  resize(id: string, wanted: number): void {
    const hold = this.holds.get(id);
    if (hold !== undefined) this.holds.set(id, Math.min(wanted, hold + this.available));
  }

  /** Bills as many output tokens as the hold pays for; one costs 2,190 nano-USD. */
  post(id: string, completion: number): void {
    const hold = this.holds.get(id);
    if (hold === undefined) return;
    this.holds.delete(id);
    const charge = Math.min(completion, Math.floor(hold / price.outputNanoUsd)) * price.outputNanoUsd;
    const fromGranted = Math.min(this.granted, charge);
    this.granted -= fromGranted;
    this.paid -= charge - fromGranted;
  }

  void(id: string): void {
    this.holds.delete(id);
  }

  #isRepeated(call: string): boolean {
    const known = this.done.has(call);
    this.done.add(call);
    return known;
  }
}

const id = fc.nat(6).map(String);
const amount = fc.integer({ min: 1, max: 40_000 });
const step = fc.oneof(
  fc.record({ call: fc.constant('grant' as const), id, amount: amount.map((each) => each * 10) }),
  fc.record({ call: fc.constant('topUp' as const), id, amount }),
  fc.record({ call: fc.constant('correct' as const), id, amount: fc.integer({ min: -60_000, max: 20_000 }) }),
  fc.record({
    call: fc.constant('admit' as const),
    id,
    wanted: amount,
    least: fc.integer({ min: 1, max: 9_000 }),
  }),
  fc.record({ call: fc.constant('resize' as const), id, wanted: amount }),
  fc.record({ call: fc.constant('post' as const), id, completion: fc.nat(30) }),
  fc.record({ call: fc.constant('void' as const), id }),
  fc.record({ call: fc.constant('evict' as const) }),
);

it('a Wallet’s balance follows from its history, whatever is repeated and whenever it restarts', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { accountId, wallet, admit, resize } = await walletWith(nanoUsd(0));
      await wallet.balance();
      const reference = new ReferenceWallet();
      /** Request ids are unique to the account, as real ones are. */
      const requestIdOf = (id: string) => `${accountId}/${id}`;
      const amounts = new Map<string, number>();
      /** The same id always names the same amount: a caller may repeat a call, but never with another amount. */
      const sameAmount = (call: string, id: string, amount: number) => {
        const known = amounts.get(call + id) ?? amount;
        amounts.set(call + id, known);
        return known;
      };
      for (const each of steps) {
        switch (each.call) {
          case 'grant':
          case 'topUp':
          case 'correct': {
            const amountNanoUsd = nanoUsd(sameAmount(each.call, each.id, each.amount));
            reference[each.call](each.id, amountNanoUsd);
            if (each.call === 'grant') await wallet.grant({ grantId: each.id, amountNanoUsd });
            if (each.call === 'topUp') await wallet.topUp({ orderId: each.id, amountNanoUsd });
            if (each.call === 'correct') await wallet.correct({ reference: each.id, amountNanoUsd });
            break;
          }
          case 'admit': {
            const { wanted, least } = each;
            const expected = reference.admit(each.id, Math.max(wanted, least), least);
            const limits = limited();
            const admitted = await admit({
              requestId: requestIdOf(each.id),
              wanted: Math.max(wanted, least),
              least,
              limits,
            });
            expect(admitted.ok).toBe(expected);
            break;
          }
          case 'resize':
            reference.resize(each.id, each.wanted);
            await resize(requestIdOf(each.id), each.wanted);
            break;
          case 'post': {
            reference.post(each.id, each.completion);
            const used = usage(0, 0, each.completion);
            await wallet.post({
              requestId: requestIdOf(each.id),
              nodeId: 'n',
              usage: used,
              ending: 'finished',
              ttftMs: 1,
            });
            break;
          }
          case 'void':
            reference.void(each.id);
            await wallet.void({ requestId: requestIdOf(each.id), nodeId: null, ending: 'not_served' });
            break;
          case 'evict':
            await evictDurableObject(wallet);
        }
        const { granted, paid, owed, held, available } = reference;
        expect(await wallet.balance()).toEqual({
          grantedNanoUsd: granted,
          paidNanoUsd: paid,
          owedNanoUsd: owed,
          heldNanoUsd: held,
          availableNanoUsd: available,
        });
        expect(Math.min(granted + paid - held, owed)).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 120 },
  );
});
