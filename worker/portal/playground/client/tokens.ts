/** The short-lived token of the key that pays: asked for when there is none, or when it is about to end. */
import type { Phrases, PlaygroundToken } from './data.ts';
import { type Fault, faultOf } from './fault.ts';

/** An answer that has begun goes on; a question must arrive before the end. */
const RENEW_BEFORE_MS = 30_000;

type Held = PlaygroundToken & { readonly keyId: string };

export class Tokens {
  readonly #phrases: Phrases;
  #held: Held | null = null;

  constructor(phrases: Phrases) {
    this.#phrases = phrases;
  }

  async of(keyId: string, nowMs: number): Promise<{ ok: true; token: string } | { ok: false; fault: Fault }> {
    const held = this.#held;
    if (held?.keyId === keyId && nowMs < held.expiresAtMs - RENEW_BEFORE_MS)
      return { ok: true, token: held.token };
    // a session that has ended is answered by a redirect to the sign-in page
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
    this.#held = { keyId, ...((await response.json()) as PlaygroundToken) };
    return { ok: true, token: this.#held.token };
  }

  /** It was refused, or is spent: the next is a fresh one. */
  drop(): void {
    this.#held = null;
  }
}
