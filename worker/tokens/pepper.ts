/** The pepper, the secret under which API keys are hashed, as a Web Crypto key; and those beside it in a rotation. */
import { acceptedSecrets, type Beside } from '../lib/rotation.ts';
import { secretId } from './secret-id.ts';

/** The part of the configuration that it needs. */
interface PepperConfig {
  readonly keyPepper: string;
  readonly beside?: { readonly KEY_PEPPER: Beside };
}

export interface Pepper {
  /** Stored beside each hash that is made under it. */
  readonly id: string;
  readonly hmac: CryptoKey;
}

const imported = new WeakMap<PepperConfig, readonly Pepper[]>();

/** The pepper in use. */
export async function pepperKey(config: PepperConfig): Promise<Pepper> {
  return (await acceptedPeppers(config))[0]!;
}

/** Every pepper under which a hash may have been made, the one in use first. Imported once per configuration object. */
export async function acceptedPeppers(config: PepperConfig): Promise<readonly Pepper[]> {
  const cached = imported.get(config);
  if (cached) return cached;
  const peppers = await Promise.all(
    acceptedSecrets(config.keyPepper, config.beside?.KEY_PEPPER).map(toPepper),
  );
  imported.set(config, peppers);
  return peppers;
}

async function toPepper(secret: string): Promise<Pepper> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = new TextEncoder().encode(secret);
  return {
    id: secretId(secret),
    hmac: await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign']),
  };
}
