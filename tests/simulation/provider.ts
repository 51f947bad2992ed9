/** The payment provider: sells top-ups, says so in signed events until they are taken, twice or in another order too, beside a forger. */
import { createHmac } from 'node:crypto';
import type { ProviderPayment } from '../laws/world.ts';
import { enter } from './context.ts';
import { newId } from './ids.ts';
import type { Account } from './population.ts';
import { WORLD } from './scheduler.ts';
import { SETTINGS } from './settings.ts';
import type { Universe } from './universe.ts';

const REDELIVER_MS = 3_000;
/** Only a declined payment has it; the others' readers skip it. */
const DECLINED = { reason: 'insufficient_funds' };
const NANO_PER_CENT = 10_000_000;

interface Event {
  readonly id: string;
  readonly body: string;
  readonly secret: string;
}

export class Provider {
  readonly payments: ProviderPayment[] = [];
  /** events that nobody has taken yet */
  undelivered = 0;
  readonly #universe: Universe;

  constructor(universe: Universe) {
    this.#universe = universe;
  }

  /** Somebody begins a top-up and pays for it, or does not. */
  async sell(account: Account): Promise<void> {
    const { random, isolates, nowMs } = this.#universe;
    const amountCents = 500 + 100 * random.int(10);
    const amountNanoUsd = amountCents * NANO_PER_CENT;
    const { life, env } = random.pick(isolates);
    enter(life);
    const begun = await this.#universe.machine.edge.desk.beginTopUp(env, {
      accountId: account.id,
      amountNanoUsd,
      nowMs: Math.floor(nowMs),
    });
    const orderId = begun.redirectUrl.split('/').at(-1)!;
    const declined = random.chance(0.3) ? [this.#event(orderId, amountCents, 'payment.declined')] : [];
    const succeeded = random.chance(0.6);
    const paid = succeeded ? [this.#event(orderId, amountCents, 'payment.paid')] : [];
    this.payments.push({ orderId, accountId: account.id, amountNanoUsd, succeeded });
    const events = [...declined, ...paid, ...(random.chance(0.3) ? paid : [])];
    if (random.chance(0.3)) events.reverse();
    for (const event of events) this.#deliver(event);
    this.#forge(orderId, amountCents);
  }

  /** None of these may ever credit anybody. */
  #forge(orderId: string, amountCents: number): void {
    const forged = {
      ...this.#event(orderId, amountCents, 'payment.paid'),
      secret: 'a-secret-that-is-not-the-edges',
    };
    const forgeries = [
      forged,
      this.#event(orderId, amountCents * 10, 'payment.paid'),
      this.#event(newId(this.#universe, 'order'), amountCents, 'payment.paid'),
      this.#event(orderId, amountCents, 'payment.paid', 'EUR'),
    ];
    for (const forgery of forgeries) this.#post(forgery, () => {});
  }

  #event(orderId: string, amountCents: number, type: string, currency = 'USD'): Event {
    return {
      id: newId(this.#universe, 'evt'),
      body: JSON.stringify({
        type,
        data: { order_id: orderId, order_kind: 'checkout', amount_cents: amountCents, currency, ...DECLINED },
      }),
      secret: SETTINGS.SANDBOX_WEBHOOK_SECRET,
    };
  }

  #deliver(event: Event): void {
    this.undelivered += 1;
    const attempt = () => this.#post(event, (taken) => (taken ? this.#taken() : again()));
    const again = () => void this.#universe.scheduler.after(REDELIVER_MS, WORLD, attempt);
    attempt();
  }

  #taken(): void {
    this.undelivered -= 1;
    this.#universe.trace.count('payment event taken');
  }

  #post({ id, body, secret }: Event, heard: (taken: boolean) => void): void {
    const timestamp = String(Math.floor(this.#universe.nowMs / 1_000));
    const signature = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    };
    this.#universe.toEdge(
      { method: 'POST', path: '/webhooks/sandbox', headers, body },
      { answered: (response) => heard(response.ok), broken: () => heard(false) },
    );
  }
}
