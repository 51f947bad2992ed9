/** Prompts as tokens, as the engine makes them when it serves them: same chat template and tokenizer, no work on a GPU. */
import type { IncomingMessage } from 'node:http';
import * as z from 'zod';
import type { GenerateRequest } from '../../protocol/schemas.ts';
import { type Engine, openEngine, readJson } from '../engine-client.ts';

/** serving_tokenize.py of SGLang 0.5.20; it is open to the agent's key. */
const TOKENIZE_PATH = '/tokenize';
/** The engine tokenizes about a megabyte a second, one request at a time, and a prompt has at most four. */
const TIMEOUT_MS = 20_000;
/** The ids of four million tokens, of seven digits and a comma each. */
const BODY_BYTES_MAX = 32 << 20;
/** The count stands behind the ids of all tokens; as much of the end as surely has it is kept. */
const TAIL_BYTES = 512;
const COUNT = /"count":\s*(\d{1,9})\s*[,}]/;

type Prompt = Pick<GenerateRequest, 'messages' | 'prompt' | 'tools' | 'tool_choice' | 'template_variables'>;

/** @returns the prompt's tokens; null where the engine gives none, be it that it cannot or that the request is invalid */
export async function tokenizePrompt(
  engine: Engine,
  request: Prompt,
  modelPath: string,
): Promise<number[] | null> {
  return tokensOf(await askTokenizer(engine, request, modelPath));
}

/**
 * @returns the prompt's tokens; `refused`: the engine cannot make a prompt of the request; null: it gave no answer
 */
export async function tokenizeOrRefuse(
  engine: Engine,
  request: Prompt,
  modelPath: string,
): Promise<number[] | 'refused' | null> {
  const response = await callTokenizer(engine, promptBody(request, modelPath));
  if (response?.statusCode === 200) return tokensOf(response);
  response?.destroy();
  return response?.statusCode === 400 ? 'refused' : null;
}

/** @returns the tokens of a bare text, without any that begin a prompt; null where the engine gives none */
export async function tokenizeText(
  engine: Engine,
  text: string,
  modelPath: string,
): Promise<number[] | null> {
  const body = { model: modelPath, prompt: text, add_special_tokens: false };
  return tokensOf(await postTokenizer(engine, body));
}

async function tokensOf(response: IncomingMessage | null): Promise<number[] | null> {
  const parsed = Tokens.safeParse(response === null ? null : await readJson(response, BODY_BYTES_MAX));
  return parsed.success ? parsed.data.tokens : null;
}

const Tokens = z.object({ tokens: z.array(z.int().min(0)).min(1) });

/** @returns how many tokens the prompt has; null as above */
export async function countPrompt(
  engine: Engine,
  request: Prompt,
  modelPath: string,
): Promise<number | null> {
  const response = await askTokenizer(engine, request, modelPath);
  return response === null ? null : countIn(response);
}

/** The same, where it matters why there is no count. @returns `refused`: the engine calls the request invalid */
export async function countOrRefusal(
  engine: Engine,
  request: Prompt,
  modelPath: string,
): Promise<number | 'refused' | null> {
  const response = await callTokenizer(engine, promptBody(request, modelPath));
  if (response?.statusCode === 200) return countIn(response);
  response?.destroy();
  return response?.statusCode === 400 ? 'refused' : null;
}

async function countIn(response: IncomingMessage): Promise<number | null> {
  const count = COUNT.exec(await tailOf(response))?.[1];
  return count === undefined ? null : Number(count);
}

function askTokenizer(engine: Engine, request: Prompt, modelPath: string): Promise<IncomingMessage | null> {
  return postTokenizer(engine, promptBody(request, modelPath));
}

function promptBody({ messages, prompt, tools, tool_choice, template_variables }: Prompt, model: string) {
  return prompt === undefined
    ? { model, messages, tools, tool_choice, chat_template_kwargs: template_variables }
    : { model, prompt, add_special_tokens: true };
}

async function postTokenizer(engine: Engine, body: object): Promise<IncomingMessage | null> {
  const response = await callTokenizer(engine, body);
  if (response === null || response.statusCode === 200) return response;
  response.destroy();
  return null;
}

async function callTokenizer(engine: Engine, body: object): Promise<IncomingMessage | null> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await openEngine(engine, { method: 'POST', path: TOKENIZE_PATH, body, signal });
  return 'failure' in response ? null : response;
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
