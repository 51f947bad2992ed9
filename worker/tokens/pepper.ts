/** The pepper, the secret under which API keys are hashed, as a Web Crypto key. */

/** The part of the configuration that it needs. */
interface PepperConfig {
  readonly keyPepper: string;
}

const peppers = new WeakMap<PepperConfig, CryptoKey>();

/** The HMAC key of the pepper. It is imported once per configuration object. */
export async function pepperKey(config: PepperConfig): Promise<CryptoKey> {
  const cached = peppers.get(config);
  if (cached) return cached;
  const secret = new TextEncoder().encode(config.keyPepper);
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  peppers.set(config, key);
  return key;
}
