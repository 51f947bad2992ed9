/**
 * The payment provider. It sells top-ups and delivers signed events until each is accepted, some twice and some out of
 * order. Forged events arrive beside them.
 */
import { createHmac } from 'node:crypto';
import type { ProviderPayment } from '../laws/world.ts';
import { enter } from './context.ts';
import { newId } from './ids.ts';
import { WORLD } from './life.ts';
import type { Account } from './population.ts';
import { SETTINGS } from './settings.ts';
import type { Universe } from './universe.ts';

const REDELIVER_MS = 3_000;
/** The reason of a declined payment. Every event carries it, because readers of other events ignore it. */
const DECLINED = { reason: 'insufficient_funds' };
const NANO_PER_CENT = 10_000_000;

interface PaymentEvent {
  readonly id: string;
  readonly body: string;
  readonly secret: string;
}

export class Provider {
  readonly payments: ProviderPayment[] = [];
  /** The number of genuine events that have not been accepted yet. */
  undelivered = 0;
  readonly #universe: Universe;

  constructor(universe: Universe) {
    this.#universe = universe;
  }

  /** The account begins a top-up, and pays for it or not. */
  async startTopUp(account: Account): Promise<void> {
    const { random, isolates, nowMs } = this.#universe;
    const amountCents = 500 + 100 * random.int(10);
    const amountNanoUsd = amountCents * NANO_PER_CENT;
    const { life, env } = random.pick(isolates);
    enter(life);
    const begun = await this.#universe.machine.edge.portal.beginTopUp(env, {
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

  /** Sends forged events: none of them may credit an account. */
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
    for (const forgery of forgeries) this.#send(forgery, () => {});
  }

  #event(orderId: string, amountCents: number, type: string, currency = 'USD'): PaymentEvent {
    return {
      id: newId(this.#universe, 'evt'),
      body: JSON.stringify({
        type,
        data: { order_id: orderId, order_kind: 'checkout', amount_cents: amountCents, currency, ...DECLINED },
      }),
      secret: SETTINGS.SANDBOX_WEBHOOK_SECRET,
    };
  }

  #deliver(event: PaymentEvent): void {
    this.undelivered += 1;
    const attempt = () => this.#send(event, (accepted) => (accepted ? this.#accepted() : retry()));
    const retry = () => void this.#universe.scheduler.after(REDELIVER_MS, WORLD, attempt);
    attempt();
  }

  #accepted(): void {
    this.undelivered -= 1;
    this.#universe.trace.count('payment event taken');
  }

  #send({ id, body, secret }: PaymentEvent, onResult: (accepted: boolean) => void): void {
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
      { answered: (response) => onResult(response.ok), broken: () => onResult(false) },
    );
  }
}
