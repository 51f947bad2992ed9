/** The short-lived token of the paying key, requested when there is none or the last one is about to expire. */
import type { Phrases, PlaygroundToken } from './data.ts';
import { type Fault, faultOf } from './fault.ts';

/** A token is renewed this long before it expires: a question must arrive in time, while a running answer may go on. */
const RENEW_BEFORE_MS = 30_000;

type KeyToken = PlaygroundToken & { readonly keyId: string };

export class Tokens {
  readonly #phrases: Phrases;
  #current: KeyToken | null = null;

  constructor(phrases: Phrases) {
    this.#phrases = phrases;
  }

  async tokenFor(
    keyId: string,
    nowMs: number,
  ): Promise<{ ok: true; token: string } | { ok: false; fault: Fault }> {
    const current = this.#current;
    if (current?.keyId === keyId && nowMs < current.expiresAtMs - RENEW_BEFORE_MS)
      return { ok: true, token: current.token };
    // an expired session is answered with a redirect to the sign-in page, which must not be followed
    const response = await fetch('/playground/token', {
      method: 'POST',
      body: new URLSearchParams({ keyId }),
      redirect: 'manual',
    }).catch(() => null);
    const fault = (message: string, code: string) =>
      ({ ok: false, fault: { message, code, retryAfterS: null } }) as const;
    if (response === null) return fault(this.#phrases.offline, 'offline');
    if (response.type === 'opaqueredirect') return fault(this.#phrases.signedOut, 'signed_out');
    if (response.status === 404) return fault((await faultOf(response)).message, 'key_not_found');
    if (!response.ok) return { ok: false, fault: await faultOf(response) };
    this.#current = { keyId, ...((await response.json()) as PlaygroundToken) };
    return { ok: true, token: this.#current.token };
  }

  /** Forgets a token that was refused or has reached its cap, so that the next call requests a new one. */
  drop(): void {
    this.#current = null;
  }
}
