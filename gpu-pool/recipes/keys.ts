/** The two keys that only the engine and its agent know. */
import { randomBytes } from 'node:crypto';

export interface EngineKeys {
  /** SGLang's `--api-key`, the agent's ENGINE_API_KEY. */
  api: string;
  /** SGLang's `--admin-api-key`, which aborts need; the agent's ENGINE_ADMIN_API_KEY. */
  admin: string;
}

/**
 * Generates keys of 256 bits each. They are hex, because argparse would take a key that begins with a dash for an
 * option.
 */
export function createEngineKeys(): EngineKeys {
  return { api: randomBytes(32).toString('hex'), admin: randomBytes(32).toString('hex') };
}
