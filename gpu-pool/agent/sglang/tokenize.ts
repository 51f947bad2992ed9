/** Counts a prompt as the engine does when it serves it: same chat template, same tokenizer, no work on a GPU. */
import type { IncomingMessage } from 'node:http';
import type { GenerateRequest } from '../../protocol/schemas.ts';
import { type Engine, openEngine } from '../engine-client.ts';

/** serving_tokenize.py of SGLang 0.5.20; it is open to the agent's key. */
const TOKENIZE_PATH = '/tokenize';
/** The engine tokenizes about a megabyte a second, one request at a time, and a prompt has at most four. */
const TIMEOUT_MS = 20_000;
/** The count stands behind the ids of all tokens, up to 28 MB of them; as much of the end as surely has it is kept. */
const TAIL_BYTES = 512;
const COUNT = /"count":\s*(\d{1,9})\s*[,}]/;

/** @returns the prompt's tokens; null where the engine gives no count, be it that it cannot or that the request is invalid */
export async function countPrompt(
  engine: Engine,
  request: Pick<GenerateRequest, 'messages' | 'prompt' | 'tools' | 'tool_choice'>,
  modelPath: string,
): Promise<number | null> {
  const { messages, prompt, tools, tool_choice } = request;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const body =
    prompt === undefined
      ? { model: modelPath, messages, tools, tool_choice }
      : { model: modelPath, prompt, add_special_tokens: true };
  const response = await openEngine(engine, { method: 'POST', path: TOKENIZE_PATH, body, signal });
  if ('failure' in response) return null;
  if (response.statusCode !== 200) {
    response.destroy();
    return null;
  }
  const count = COUNT.exec(await tailOf(response))?.[1];
  return count === undefined ? null : Number(count);
}

/** The end of a body as text; empty when it breaks off. */
async function tailOf(response: IncomingMessage): Promise<string> {
  let tail = Buffer.alloc(0);
  try {
    for await (const bytes of response as AsyncIterable<Buffer>)
      tail = Buffer.concat([tail, bytes]).subarray(-TAIL_BYTES);
    return tail.toString('latin1');
  } catch {
    return '';
  }
}
