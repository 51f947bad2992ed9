/**
 * FakeSiteverify plays Cloudflare's siteverify endpoint, with the fields and error codes of its documentation
 * (developers.cloudflare.com/turnstile/get-started/server-side-validation): a token passes once, within five minutes.
 */
export const SITE_KEY = '0x4AAAAAAAtestTestTest01';
export const SECRET_KEY = '0x4AAAAAAAtestTestTest01secretSecret0';

export interface Challenge {
  readonly hostname: string;
  readonly action: string;
}

type Fault = 'reset' | 'html' | 'hangs';

let challenges = 0;

export class FakeSiteverify {
  /** The fault of the endpoint, while set. */
  fault: Fault | null = null;
  /** Forms that it was sent, oldest first. */
  readonly asked: URLSearchParams[] = [];
  readonly #open = new Map<string, Challenge>();

  /** A token as the widget would put it into the form. */
  token(over: Partial<Challenge> = {}): string {
    challenges += 1;
    const token = `0.token-${challenges}`;
    this.#open.set(token, { hostname: 'tollgate.test', action: 'sign_up', ...over });
    return token;
  }

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (request.url !== 'https://challenges.cloudflare.com/turnstile/v0/siteverify')
      throw new Error(`unexpected call of ${request.url}`);
    if (request.method !== 'POST') return new Response(null, { status: 405 });
    const form = new URLSearchParams(await request.text());
    this.asked.push(form);
    if (this.fault === 'reset') throw new TypeError('connection reset');
    if (this.fault === 'html') return new Response('<html>', { status: 503 });
    // the caller's own deadline, without its five seconds
    if (this.fault === 'hangs') throw new DOMException('The operation timed out.', 'TimeoutError');
    return Response.json(this.#verdict(form));
  };

  #verdict(form: URLSearchParams) {
    const failed = (code: string) => ({ success: false, 'error-codes': [code], messages: [] });
    const response = form.get('response');
    if (!form.get('secret')) return failed('missing-input-secret');
    if (form.get('secret') !== SECRET_KEY) return failed('invalid-input-secret');
    if (!response) return failed('missing-input-response');
    if (!response.startsWith('0.')) return failed('invalid-input-response');
    const challenge = this.#open.get(response);
    if (challenge === undefined) return failed('timeout-or-duplicate');
    this.#open.delete(response);
    return {
      success: true,
      'error-codes': [],
      challenge_ts: '2026-11-30T08:00:00.000Z',
      ...challenge,
      cdata: '',
    };
  }
}
