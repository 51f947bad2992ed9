/**
 * The error body that an agent sends instead of an answer. A node may be broken or no node at all, so little of it is
 * read.
 */
import type { NodeError } from '../../../gpu-pool/protocol/schemas.ts';
import { readNodeError } from './chunk.ts';

/** Several times the length of an error that an agent writes. */
const CHARS_MAX = 4_096;

/** @returns null when the body is not an agent's error. @throws when the connection breaks */
export async function readNodeErrorBody(response: Response): Promise<NodeError['error'] | null> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > CHARS_MAX) return null;
  }
  return readNodeError(parseJson(text));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
