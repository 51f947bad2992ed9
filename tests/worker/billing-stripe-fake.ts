/**
 * FakeStripe stands where Stripe's API and its webhook sender stand. It answers the official SDK over an injected
 * `fetch`, in Stripe's shapes, with Stripe's idempotency and errors, and signs events as Stripe does. What happens
 * between (a customer pays, an operator refunds, a bank disputes) is called on it.
 */
import Stripe from 'stripe';

export const WEBHOOK_SECRET = 'whsec_test_0123456789abcdef';
export const API_KEY = 'sk_test_0123456789abcdef';
/** What must never leave the event it came in. */
export const CARD = {
  last4: '4242',
  name: 'Jenny Rosen',
  email: 'jenny.rosen@example.com',
  fingerprint: 'Xt5EWLLDS7FJjR1c',
};

type Params = Record<string, string>;
type StripeObject = Record<string, unknown>;
type Fault =
  | 'never answers'
  | 'lost after the work'
  | 'reset'
  | 'html'
  | { status: number; error: StripeObject };

interface Call {
  readonly method: string;
  readonly path: string;
  readonly params: Params;
  readonly idempotencyKey: string | null;
}

export interface Payment {
  readonly session: StripeObject;
  readonly intent: StripeObject;
  readonly charge: StripeObject;
}

export class FakeStripe {
  readonly calls: Call[] = [];
  readonly sessions: StripeObject[] = [];
  /** what happens to the next calls, one each */
  readonly faults: Fault[] = [];
  readonly #intents = new Map<string, StripeObject>();
  readonly #answers = new Map<string, { params: string; body: StripeObject }>();

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input as string, { method: init?.method, headers: init?.headers });
    const url = new URL(request.url);
    if (url.origin !== 'https://api.stripe.com') throw new Error(`FakeStripe is not ${url.origin}`);
    const idempotencyKey = request.headers.get('idempotency-key');
    const params = Object.fromEntries(new URLSearchParams(String(init?.body ?? '')));
    this.calls.push({ method: request.method, path: url.pathname, params, idempotencyKey });

    if (request.headers.get('authorization') !== `Bearer ${API_KEY}`)
      return failure(401, { type: 'invalid_request_error', message: 'Invalid API Key provided: sk_****' });
    const fault = this.faults.shift();
    if (fault === 'never answers') return silence(init?.signal);
    if (fault === 'reset') throw new TypeError('Network connection lost.');
    if (fault === 'html') return new Response('<html>Bad gateway</html>', { status: 502 });
    if (typeof fault === 'object') return failure(fault.status, fault.error);
    const answer = this.#answer(request.method, url.pathname, params, idempotencyKey);
    if (fault === 'lost after the work') throw new TypeError('Network connection lost.');
    return answer;
  };

  #answer(method: string, path: string, params: Params, key: string | null): Response {
    const [, id] = /^\/v1\/payment_intents\/(\w+)$/.exec(path) ?? [];
    if (method === 'GET' && id) {
      const intent = this.#intents.get(id);
      return intent
        ? success(intent)
        : failure(404, { type: 'invalid_request_error', code: 'resource_missing' });
    }
    if (method !== 'POST' || path !== '/v1/checkout/sessions')
      return failure(404, { type: 'invalid_request_error', message: `Unrecognized request URL (${path})` });

    const known = key === null ? undefined : this.#answers.get(key);
    const sent = JSON.stringify(params);
    if (known && known.params !== sent)
      return failure(400, {
        type: 'idempotency_error',
        message: 'Keys for idempotent requests can only be used with the same parameters.',
      });
    if (known) return success(known.body, { 'idempotent-replayed': 'true' });
    const session = this.#newSession(params);
    this.sessions.push(session);
    if (key !== null) this.#answers.set(key, { params: sent, body: session });
    return success(session);
  }

  #newSession(params: Params): StripeObject {
    const id = newStripeId('cs_test');
    return {
      id,
      object: 'checkout.session',
      mode: params.mode,
      status: 'open',
      payment_status: 'unpaid',
      client_reference_id: params.client_reference_id ?? null,
      amount_total: Number(params['line_items[0][price_data][unit_amount]']),
      currency: params['line_items[0][price_data][currency]'],
      metadata: metadataOf(params, 'metadata'),
      payment_intent: null,
      livemode: false,
      url: `https://checkout.stripe.com/c/pay/${id}`,
      intentMetadata: metadataOf(params, 'payment_intent_data[metadata]'),
    };
  }

  /** The customer pays the newest session, or what `change` says. */
  pay(change: StripeObject = {}): Payment {
    const { intentMetadata, ...opened } = this.sessions.at(-1)!;
    const amount = opened.amount_total;
    const intent = {
      id: newStripeId('pi'),
      object: 'payment_intent',
      amount,
      currency: opened.currency,
      metadata: intentMetadata,
      status: 'succeeded',
    };
    this.#intents.set(intent.id, intent);
    const charge = {
      id: newStripeId('ch'),
      object: 'charge',
      amount,
      amount_captured: amount,
      amount_refunded: 0,
      currency: opened.currency,
      refunded: false,
      // copied from the payment intent, as Stripe does
      metadata: intentMetadata,
      payment_intent: intent.id,
      billing_details: { name: CARD.name, email: CARD.email },
      payment_method_details: {
        type: 'card',
        card: { brand: 'visa', last4: CARD.last4, fingerprint: CARD.fingerprint },
      },
    };
    const session = {
      ...opened,
      status: 'complete',
      payment_status: 'paid',
      payment_intent: intent.id,
      customer_details: { name: CARD.name, email: CARD.email },
      ...change,
    };
    return { session, intent, charge };
  }

  /** A payment on the same Stripe account for something that Tollgate did not sell. */
  payElsewhere(): Payment {
    this.sessions.push({
      id: newStripeId('cs_test'),
      mode: 'payment',
      client_reference_id: 'invoice-7',
      amount_total: 2_000,
      currency: 'usd',
      metadata: {},
      intentMetadata: {},
    });
    return this.pay();
  }
}

/** The charge after refunds of `cents` in all. */
export function refunded({ charge }: Payment, cents: number): StripeObject {
  return { ...charge, amount_refunded: cents, refunded: cents === charge.amount };
}

export function refund({ charge, intent }: Payment, cents: number, status: string): StripeObject {
  const { id, currency } = charge;
  return {
    id: newStripeId('re'),
    object: 'refund',
    amount: cents,
    currency,
    charge: id,
    payment_intent: intent.id,
    status,
    metadata: {},
  };
}

export function dispute({ charge, intent }: Payment, change: StripeObject = {}): StripeObject {
  const { id, amount, currency } = charge;
  return {
    id: newStripeId('du'),
    object: 'dispute',
    amount,
    currency,
    charge: id,
    payment_intent: intent.id,
    reason: 'fraudulent',
    status: 'needs_response',
    evidence: { customer_name: CARD.name, customer_email_address: CARD.email },
    metadata: {},
    ...change,
  };
}

export interface SignedEvent {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** An event as Stripe sends it: its envelope, and a signature over the exact bytes. */
export async function stripeEvent(
  type: string,
  object: unknown,
  { id = newStripeId('evt'), livemode = false, ...how }: { id?: string; livemode?: boolean } & Signing = {},
): Promise<SignedEvent> {
  const envelope = {
    id,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: Math.floor(Date.now() / 1_000),
    data: { object },
    livemode,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type,
  };
  return signedBody(JSON.stringify(envelope), how);
}

interface Signing {
  readonly secret?: string;
  readonly atMs?: number;
}

export async function signedBody(
  body: string,
  { secret = WEBHOOK_SECRET, atMs = Date.now() }: Signing = {},
): Promise<SignedEvent> {
  const signature = await Stripe.webhooks.generateTestHeaderStringAsync({
    payload: body,
    secret,
    timestamp: Math.floor(atMs / 1_000),
    cryptoProvider: Stripe.createSubtleCryptoProvider(),
  });
  return { headers: { 'content-type': 'application/json', 'stripe-signature': signature }, body };
}

let made = 0;
export function newStripeId(prefix: string): string {
  return `${prefix}_${String(++made).padStart(6, '0')}${crypto.randomUUID().replaceAll('-', '')}`;
}

function metadataOf(params: Params, prefix: string): Params {
  const inside = Object.entries(params).filter(([name]) => name.startsWith(`${prefix}[`));
  return Object.fromEntries(inside.map(([name, value]) => [name.slice(prefix.length + 1, -1), value]));
}

function success(body: StripeObject, headers: Record<string, string> = {}): Response {
  return Response.json(body, { headers: { 'request-id': newStripeId('req'), ...headers } });
}

function failure(status: number, error: StripeObject): Response {
  return Response.json({ error }, { status, headers: { 'request-id': 'req_of_the_failure' } });
}

function silence(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason));
  });
}
