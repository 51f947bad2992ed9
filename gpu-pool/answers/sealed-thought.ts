/**
 * `encrypted_content` of a reasoning item. Clients that store nothing at the server (AI SDK, Codex) include it, and send a
 * thought back only if the item has it. The thought is shown in full beside it, so nothing is kept secret: it is encoded, as
 * clients take it for opaque, and read where an item comes back without its text.
 */
import { Buffer } from 'node:buffer';

/** The value of `include` that asks for it. */
export const SEALED_THOUGHT = 'reasoning.encrypted_content';

const PREFIX = 'tg1.';

export function sealedThought(text: string): string {
  return PREFIX + Buffer.from(text).toString('base64url');
}

/** @returns undefined: it is not one of ours */
export function unsealedThought(sealed: string): string | undefined {
  if (!sealed.startsWith(PREFIX)) return undefined;
  return Buffer.from(sealed.slice(PREFIX.length), 'base64url').toString() || undefined;
}
