/** The pepper of API keys as a key of Web Crypto. */
/** The secret that API keys are hashed under. */
interface PepperConfig {
  readonly keyPepper: string;
}

const peppers = new WeakMap<PepperConfig, CryptoKey>();

/** The HMAC key under which API keys are hashed; imported once per configuration. */
export async function pepperKey(config: PepperConfig): Promise<CryptoKey> {
  const known = peppers.get(config);
  if (known) return known;
  const secret = new TextEncoder().encode(config.keyPepper);
  const fresh = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  peppers.set(config, fresh);
  return fresh;
}
