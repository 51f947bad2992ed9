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

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** One account's Wallet beside its reference; each step is applied to both. */
class Comparison {
  readonly #account: Awaited<ReturnType<typeof walletWith>>;
  readonly #reference = new ReferenceWallet();
  readonly #amounts = new Map<string, number>();

  constructor(account: Awaited<ReturnType<typeof walletWith>>) {
    this.#account = account;
  }

  async apply(step: Step): Promise<void> {
    const { wallet, admit, resize } = this.#account;
    if (step.call === 'evict') return evictDurableObject(wallet);
    const requestId = this.#requestId(step.id);
    switch (step.call) {
      case 'grant':
      case 'topUp':
      case 'correct': {
        const amountNanoUsd = nanoUsd(this.#sameAmount(step.call, step.id, step.amount));
        this.#reference[step.call](step.id, amountNanoUsd);
        if (step.call === 'grant') await wallet.grant({ grantId: step.id, amountNanoUsd });
        if (step.call === 'topUp') await wallet.topUp({ orderId: step.id, amountNanoUsd });
        if (step.call === 'correct') await wallet.correct({ reference: step.id, amountNanoUsd });
        break;
      }
      case 'admit': {
        const { least } = step;
        const wanted = Math.max(step.wanted, least);
        const expected = this.#reference.admit(step.id, wanted, least);
        expect((await admit({ requestId, wanted, least, limits: limited() })).ok).toBe(expected);
        break;
      }
      case 'resize':
        this.#reference.resize(step.id, step.wanted);
        await resize(requestId, step.wanted);
        break;
      case 'post': {
        this.#reference.post(step.id, step.completion);
        const used = usage(0, 0, step.completion);
        await wallet.post({ requestId, nodeId: 'n', usage: used, ending: 'finished', ttftMs: 1 });
        break;
      }
      case 'void':
        this.#reference.void(step.id);
        await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    }
  }

  async expectEqual(): Promise<void> {
    const { granted, paid, owed, held, available } = this.#reference;
    expect(await this.#account.wallet.balance()).toEqual({
      grantedNanoUsd: granted,
      paidNanoUsd: paid,
      owedNanoUsd: owed,
      heldNanoUsd: held,
      availableNanoUsd: available,
    });
    expect(Math.min(granted + paid - held, owed)).toBeGreaterThanOrEqual(0);
  }

  /** Request ids are unique to the account, as real ones are. */
  #requestId(id: string): string {
    return `${this.#account.accountId}/${id}`;
  }

  /** The same id always names the same amount: a caller may repeat a call, but never with another amount. */
  #sameAmount(call: string, id: string, amount: number): number {
    const known = this.#amounts.get(call + id) ?? amount;
    this.#amounts.set(call + id, known);
    return known;
  }
}

it('a Wallet’s balance follows from its history, whatever is repeated and whenever it restarts', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const account = await walletWith(nanoUsd(0));
      await account.wallet.balance();
      const comparison = new Comparison(account);
      for (const each of steps) {
        await comparison.apply(each);
        await comparison.expectEqual();
      }
    }),
    { numRuns: 120 },
  );
});
