/** What an agent says instead of an answer. A node may be broken or not be one, so no more is read than a line. */
import type { NodeError } from '../../../gpu-pool/protocol/schemas.ts';
import { readNodeError } from './chunk.ts';

const CHARS_MAX = 4_096;

/** @returns null for what no agent says; throws where the connection breaks */
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
