/**
 * The objects at Stripe: customers, sessions, cards, payments and invoices, in Stripe's shapes and with its errors.
 * Actions of people there (paying, saving a card) are methods.
 */

export type Params = Record<string, string>;
export type StripeObject = Record<string, unknown> & { id: string };

/** Card data that must never leave the event it came in. */
export const CARD = {
  last4: '4242',
  name: 'Jenny Rosen',
  email: 'jenny.rosen@example.com',
  fingerprint: 'Xt5EWLLDS7FJjR1c',
};

/** The outcome of charging a saved card; the codes are Stripe's. */
export type CardBehaviour = 'works' | { code: string; decline_code?: string };

/** A request that Stripe refuses. */
export class StripeApiError extends Error {
  readonly status: number;
  readonly error: Record<string, unknown>;
  constructor(status: number, error: Record<string, unknown>) {
    super('refused');
    this.status = status;
    this.error = error;
  }
}

export interface Payment {
  readonly session: StripeObject;
  readonly intent: StripeObject;
  readonly charge: StripeObject;
  readonly invoice: StripeObject;
}

export class StripeState {
  readonly customers = new Map<string, StripeObject>();
  readonly sessions: StripeObject[] = [];
  readonly intents: StripeObject[] = [];
  readonly invoices: StripeObject[] = [];
  readonly #setups = new Map<string, StripeObject>();
  readonly #cards = new Map<string, StripeObject & { behaviour: CardBehaviour; customer: string | null }>();

  newCustomer(params: Params): StripeObject {
    const id = newStripeId('cus');
    this.customers.set(id, { id, object: 'customer', metadata: metadataOf(params, 'metadata') });
    return this.customers.get(id)!;
  }

  newSession(params: Params): StripeObject {
    this.#mustExist(this.customers, params.customer, 'customer');
    if (params['tax_id_collection[enabled]'] === 'true' && params['customer_update[name]'] !== 'auto')
      throw invalid('customer_update[name]', 'Tax ID collection requires updating business name.');
    if (params.mode === 'setup' && !params.currency) throw invalid('currency', 'Missing required param.');
    const id = newStripeId('cs_test');
    const session = {
      id,
      object: 'checkout.session',
      mode: params.mode,
      status: 'open',
      payment_status: params.mode === 'setup' ? 'no_payment_required' : 'unpaid',
      client_reference_id: params.client_reference_id ?? null,
      amount_total: params.mode === 'setup' ? null : Number(params['line_items[0][price_data][unit_amount]']),
      currency: params['line_items[0][price_data][currency]'] ?? params.currency,
      customer: params.customer,
      metadata: metadataOf(params, 'metadata'),
      payment_intent: null,
      setup_intent: null,
      livemode: false,
      url: `https://checkout.stripe.com/c/pay/${id}`,
      intentMetadata: metadataOf(params, 'payment_intent_data[metadata]'),
      setupMetadata: metadataOf(params, 'setup_intent_data[metadata]'),
      invoiceMetadata: metadataOf(params, 'invoice_creation[invoice_data][metadata]'),
    };
    this.sessions.push(session);
    return session;
  }

  /**
   * The customer pays the newest session, and tax on top of it; `change` overrides fields of the event's session.
   */
  pay(change: Record<string, unknown> = {}, taxCents = 0): Payment {
    const { intentMetadata, setupMetadata: _, invoiceMetadata, ...opened } = this.sessions.at(-1)!;
    const amount = Number(opened.amount_total) + taxCents;
    const intent = this.#addIntent({
      amount,
      amount_received: amount,
      currency: opened.currency,
      customer: opened.customer ?? null,
      metadata: intentMetadata,
      status: 'succeeded',
    });
    const session = {
      ...opened,
      status: 'complete',
      payment_status: 'paid',
      payment_intent: intent.id,
      customer_details: { name: CARD.name, email: CARD.email, tax_ids: [] },
      amount_subtotal: opened.amount_total,
      amount_total: amount,
      total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: taxCents },
      ...change,
    };
    const invoice = invoiceOf(
      { customer: opened.customer, metadata: invoiceMetadata ?? {}, subtotal: opened.amount_total },
      intent,
    );
    return { session, intent, charge: chargeOf(intent), invoice };
  }

  /** A payment on the same Stripe account for something that Tollgate did not sell. */
  payElsewhere(): Payment {
    const sold = { mode: 'payment', client_reference_id: 'invoice-7', amount_total: 2_000, currency: 'usd' };
    this.sessions.push({ id: newStripeId('cs_test'), ...sold, metadata: {}, intentMetadata: {} });
    return this.pay();
  }

  /** The customer types a card into the newest session. @returns the session as its event carries it */
  saveCard(behaviour: CardBehaviour = 'works', brand = 'visa'): StripeObject {
    const { setupMetadata, intentMetadata: _, invoiceMetadata: __, ...opened } = this.sessions.at(-1)!;
    const customer = String(opened.customer);
    const card = { brand, last4: CARD.last4, fingerprint: CARD.fingerprint };
    const method = {
      id: newStripeId('pm'),
      object: 'payment_method',
      type: 'card',
      card,
      customer,
      behaviour,
    };
    this.#cards.set(method.id, method);
    const setup = {
      id: newStripeId('seti'),
      status: 'succeeded',
      customer,
      metadata: setupMetadata,
      payment_method: method.id,
    };
    this.#setups.set(setup.id, setup);
    return { ...opened, status: 'complete', setup_intent: setup.id };
  }

  setup(id: string): StripeObject {
    const setup = this.#mustExist(this.#setups, id, 'intent');
    const { behaviour: _, ...method } = this.#cards.get(String(setup.payment_method))!;
    return { ...setup, payment_method: method };
  }

  detach(id: string): StripeObject {
    const card = this.#mustExist(this.#cards, id, 'payment_method');
    if (card.customer === null) throw invalid('payment_method', 'It is not attached to a customer.');
    card.customer = null;
    return card;
  }

  /** Creates and confirms an off-session intent: it succeeds, or fails with a card error that carries the intent. */
  newIntent(params: Params): StripeObject {
    this.#mustExist(this.customers, params.customer, 'customer');
    const card = this.#mustExist(this.#cards, params.payment_method, 'payment_method');
    if (card.customer !== params.customer)
      throw invalid('payment_method', 'It does not belong to the customer.');
    const facts = {
      amount: Number(params.amount),
      currency: params.currency,
      customer: params.customer,
      metadata: metadataOf(params, 'metadata'),
    };
    if (card.behaviour === 'works')
      return this.#addIntent({ ...facts, amount_received: facts.amount, status: 'succeeded' });
    const last_payment_error = { type: 'card_error', message: `${CARD.name}’s card`, ...card.behaviour };
    const status = 'requires_payment_method';
    const intent = this.#addIntent({ ...facts, amount_received: 0, status, last_payment_error });
    throw new StripeApiError(402, { ...last_payment_error, payment_intent: intent });
  }

  listIntents({ customer, 'created[gte]': since = '0' }: Params): StripeObject {
    const data = this.intents.filter(
      (intent) => intent.customer === customer && Number(intent.created) >= Number(since),
    );
    return { id: '', object: 'list', data: data.reverse(), has_more: false };
  }

  intent(id: string): StripeObject {
    const found = this.intents.find((each) => each.id === id);
    if (!found) throw invalid('intent', 'No such payment_intent', 404);
    return found;
  }

  newInvoice(params: Params): StripeObject {
    this.#mustExist(this.customers, params.customer, 'customer');
    const facts = { customer: params.customer, metadata: metadataOf(params, 'metadata') };
    const invoice = { ...invoiceOf(facts, { currency: params.currency }), status: 'draft', total: 0 };
    this.invoices.push(invoice);
    return invoice;
  }

  addLine({ invoice, amount }: Params): StripeObject {
    const draft = this.#invoice(invoice, 'draft');
    draft.total = Number(draft.total) + Number(amount);
    return { id: newStripeId('ii'), object: 'invoiceitem', invoice, amount: Number(amount) };
  }

  finalize(id: string): StripeObject {
    const invoice = this.#invoice(id, 'draft');
    return Object.assign(invoice, { status: 'open', hosted_invoice_url: hostedUrl(id) });
  }

  attachPayment(id: string, { payment_intent }: Params): StripeObject {
    const invoice = this.#invoice(id, 'open');
    const intent = this.intent(payment_intent!);
    if (intent.customer !== invoice.customer) throw invalid('payment_intent', 'Another customer’s.');
    const amount_paid = Number(intent.amount_received);
    return Object.assign(invoice, { amount_paid, status: amount_paid === invoice.total ? 'paid' : 'open' });
  }

  #invoice(id: string | undefined, status: string): StripeObject {
    const found = this.invoices.find((each) => each.id === id);
    if (!found) throw invalid('invoice', 'No such invoice', 404);
    if (found.status !== status) throw invalid('invoice', `The invoice is ${found.status}, not ${status}.`);
    return found;
  }

  #addIntent(facts: Record<string, unknown>): StripeObject {
    const created = Math.floor(Date.now() / 1_000);
    const intent = {
      id: newStripeId('pi'),
      object: 'payment_intent',
      created,
      last_payment_error: null,
      ...facts,
    };
    this.intents.push(intent);
    return intent;
  }

  #mustExist<T>(all: Map<string, T>, id: string | undefined, param: string): T {
    const found = id === undefined ? undefined : all.get(id);
    if (found === undefined) throw invalid(param, `No such ${param}: '${id}'`, 400, 'resource_missing');
    return found;
  }
}

/** A charge has the metadata of its payment, as Stripe copies it. */
export function chargeOf(intent: StripeObject): StripeObject {
  return {
    id: newStripeId('ch'),
    object: 'charge',
    amount: intent.amount,
    amount_captured: intent.amount,
    amount_refunded: 0,
    currency: intent.currency,
    refunded: false,
    metadata: intent.metadata,
    payment_intent: intent.id,
    billing_details: { name: CARD.name, email: CARD.email },
    payment_method_details: {
      type: 'card',
      card: { brand: 'visa', last4: CARD.last4, fingerprint: CARD.fingerprint },
    },
  };
}

function invoiceOf(facts: Record<string, unknown>, intent: Record<string, unknown>): StripeObject {
  const id = newStripeId('in');
  return {
    id,
    object: 'invoice',
    status: 'paid',
    total: intent.amount ?? 0,
    amount_paid: intent.amount ?? 0,
    currency: intent.currency,
    customer_tax_ids: [{ type: 'eu_vat', value: 'FR40303265045' }],
    hosted_invoice_url: intent.amount === undefined ? null : hostedUrl(id),
    ...facts,
  };
}

function hostedUrl(id: string): string {
  return `https://invoice.stripe.com/i/acct_1/test_${id}`;
}

function invalid(param: string, message: string, status = 400, code?: string): StripeApiError {
  return new StripeApiError(status, { type: 'invalid_request_error', param, message, ...(code && { code }) });
}

let idsMade = 0;
export function newStripeId(prefix: string): string {
  return `${prefix}_${String(++idsMade).padStart(6, '0')}${crypto.randomUUID().replaceAll('-', '')}`;
}

function metadataOf(params: Params, prefix: string): Params {
  const inside = Object.entries(params).filter(([name]) => name.startsWith(`${prefix}[`));
  return Object.fromEntries(inside.map(([name, value]) => [name.slice(prefix.length + 1, -1), value]));
}
