/**
 * FakeStripe replaces Stripe's API. It serves the official SDK over an injected `fetch`, with Stripe's idempotency
 * and errors; the objects behind it are StripeState (stripe-state.ts).
 */
import { newStripeId, type Params, StripeApiError, type StripeObject, StripeState } from './stripe-state.ts';

export const API_KEY = 'sk_test_0123456789abcdef';

export type Fault =
  | 'never answers'
  | 'lost after the work'
  | 'reset'
  | 'html'
  | { status: number; error: Record<string, unknown>; kept?: boolean };

interface Call {
  readonly method: string;
  readonly path: string;
  readonly params: Params;
  readonly idempotencyKey: string | null;
}

interface StripeResponse {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

type Handler = (state: StripeState, params: Params, id: string) => StripeObject;

const ROUTES: readonly [method: string, path: RegExp, work: Handler][] = [
  ['POST', /^\/v1\/customers$/, (state, params) => state.newCustomer(params)],
  ['POST', /^\/v1\/checkout\/sessions$/, (state, params) => state.newSession(params)],
  ['POST', /^\/v1\/payment_intents$/, (state, params) => state.newIntent(params)],
  ['GET', /^\/v1\/payment_intents$/, (state, params) => state.listIntents(params)],
  ['GET', /^\/v1\/payment_intents\/(\w+)$/, (state, _, id) => state.intent(id)],
  ['GET', /^\/v1\/setup_intents\/(\w+)$/, (state, _, id) => state.setup(id)],
  ['POST', /^\/v1\/payment_methods\/(\w+)\/detach$/, (state, _, id) => state.detach(id)],
  ['POST', /^\/v1\/invoices$/, (state, params) => state.newInvoice(params)],
  ['POST', /^\/v1\/invoiceitems$/, (state, params) => state.addLine(params)],
  ['POST', /^\/v1\/invoices\/(\w+)\/finalize$/, (state, _, id) => state.finalize(id)],
  ['POST', /^\/v1\/invoices\/(\w+)\/attach_payment$/, (state, params, id) => state.attachPayment(id, params)],
];

/** Removed from the API in 2026, though the SDK's types still have it: the fake rejects it. */
const UNKNOWN_PARAMS = ['payment_method_types', 'payment_method_types[0]'];

export class FakeStripe extends StripeState {
  readonly calls: Call[] = [];
  /** Faults of the next calls, one each. */
  readonly faults: Fault[] = [];
  /** Delay of each response. */
  delayMs = 0;
  readonly #answers = new Map<string, { bodyOf: string; answer: StripeResponse }>();
  readonly #running = new Set<string>();

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input as string, { method: init?.method, headers: init?.headers });
    const url = new URL(request.url);
    if (url.origin !== 'https://api.stripe.com') throw new Error(`FakeStripe is not ${url.origin}`);
    const idempotencyKey = request.headers.get('idempotency-key');
    const params = Object.fromEntries(new URLSearchParams(String(init?.body || url.search)));
    const call = { method: request.method, path: url.pathname, params, idempotencyKey };
    this.calls.push(call);

    if (request.headers.get('authorization') !== `Bearer ${API_KEY}`)
      return failure(401, { type: 'invalid_request_error', message: 'Invalid API Key provided: sk_****' });
    const fault = this.faults.shift();
    if (fault === 'never answers') return silence(init?.signal);
    if (fault === 'reset') throw new TypeError('Network connection lost.');
    if (fault === 'html') return new Response('<html>Bad gateway</html>', { status: 502 });
    if (typeof fault === 'object') {
      const { status, error } = fault;
      if (fault.kept) this.#keep(call, { status, body: { error } });
      return failure(status, error);
    }
    const answer = await this.#answerOnce(call);
    if (fault === 'lost after the work') throw new TypeError('Network connection lost.');
    return answer;
  };

  /** The calls to one endpoint. */
  callsTo(method: string, path: string): Call[] {
    return this.calls.filter((call) => call.method === method && call.path === path);
  }

  /**
   * The first response under a key is repeated for every later call with it, also a declined card and a server error.
   */
  async #answerOnce(call: Call): Promise<Response> {
    const key = call.method === 'POST' ? call.idempotencyKey : null;
    const known = key === null ? undefined : this.#answers.get(key);
    if (known && known.bodyOf !== sent(call))
      return failure(400, {
        type: 'idempotency_error',
        message: 'Keys for idempotent requests can only be used with the same parameters.',
      });
    if (known) return response(known.answer, { 'idempotent-replayed': 'true' });
    if (key !== null && this.#running.has(key))
      return failure(409, { type: 'idempotency_error', code: 'idempotency_key_in_use' });
    if (key !== null) this.#running.add(key);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const answer = this.#work(call);
    if (key !== null) this.#running.delete(key);
    this.#keep(call, answer);
    return response(answer);
  }

  #keep(call: Call, answer: StripeResponse): void {
    const { idempotencyKey: key } = call;
    if (key !== null) this.#answers.set(key, { bodyOf: sent(call), answer: structuredClone(answer) });
  }

  #work({ method, path, params }: Call): StripeResponse {
    const unknown = UNKNOWN_PARAMS.find((name) => name in params);
    try {
      if (unknown)
        throw new StripeApiError(400, {
          type: 'invalid_request_error',
          code: 'parameter_unknown',
          param: unknown,
        });
      for (const [verb, pattern, work] of ROUTES) {
        const match = verb === method ? pattern.exec(path) : null;
        if (match) return { status: 200, body: work(this, params, match[1] ?? '') };
      }
      throw new StripeApiError(404, {
        type: 'invalid_request_error',
        message: `Unrecognized request URL (${path})`,
      });
    } catch (error) {
      if (!(error instanceof StripeApiError)) throw error;
      return { status: error.status, body: { error: error.error } };
    }
  }
}

function sent({ path, params }: Call): string {
  return JSON.stringify([path, params]);
}

function response({ status, body }: StripeResponse, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { 'request-id': newStripeId('req'), ...headers } });
}

function failure(status: number, error: Record<string, unknown>): Response {
  return Response.json({ error }, { status, headers: { 'request-id': 'req_of_the_failure' } });
}

function silence(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason));
  });
}
