/** A customer of the API for tests: an account with credit and a key. Each test takes models that no other test uses. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env as bindings } from 'cloudflare:workers';
import { withoutMarks } from '../../../gpu-pool/answers/marks.ts';
import profile from '../../../gpu-pool/models/deepseek-v3-0324.json' with { type: 'json' };
import { database } from '../../../worker/db/client.ts';
import { createKey, type NewKey } from '../../../worker/db/keys.ts';
import { type NanoUsd, nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { RequestRecord } from '../../../worker/domain/wallet.ts';
import { config, type Env } from '../../../worker/env.ts';
import app from '../../../worker/index.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { newAccount } from '../fleet/fixtures.ts';
import { checkedAtEnd } from '../wallet/laws.ts';

export const env = bindings as unknown as Env;

/** Prices in nano-USD per token, the same for every test model. */
export const PRICE = { hit: 100, miss: 500, output: 2_000 };

/** The models are inserted before the first request, because the gateway caches the catalogue for ten seconds. */
const MODELS = 300;
const models = Array.from({ length: MODELS }, (_, i) => `model-${i}`);
await env.DB.batch(
  models.flatMap((id) => [
    env.DB.prepare(
      `insert into model (id, name, aliases, model_paths, revision, license, reasoning, context_tokens,
        output_tokens_max, output_tokens_default, profile)
      values (?, ?, '[]', '[]', 'revision-1', 'MIT', 0, 131072, 65536, 8192, ?)`,
    ).bind(id, id, JSON.stringify(profile)),
    env.DB.prepare(
      "insert into price (id, model_id, from_ms, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source) values (?, ?, 0, ?, ?, ?, 'test')",
    ).bind(`${id}/1`, id, PRICE.hit, PRICE.miss, PRICE.output),
  ]),
);

/** Takes an unused model. Its Pool is its own, so that what one test does to nodes cannot affect another test. */
export function newModel(): string {
  const model = models.shift();
  if (model === undefined) throw new Error(`more than ${MODELS} models are in use: raise MODELS`);
  return model;
}

export interface AskOptions {
  readonly using?: Env;
  readonly signal?: AbortSignal;
  readonly headers?: Record<string, string>;
}

/** A response, read to its end, with the request's record after everything has settled. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly requestId: string;
  /** Without the agent's marks, which are comments. */
  readonly text: string;
  /** The `data:` of each event; the whole text when the response is not a stream. */
  readonly events: string[];
  /** The events that are JSON, parsed. */
  readonly chunks: Chunk[];
  /** The text of the first choice. */
  readonly content: string;
  readonly record: RequestRecord | null;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cost: number;
  cost_nano_usd: number;
  [field: string]: unknown;
}

export interface Chunk {
  choices: {
    index: number;
    delta: { role?: string; content?: string | null; reasoning_content?: string; tool_calls?: object[] };
    message: { content: string | null };
    finish_reason: string | null;
  }[];
  usage?: Usage | null;
  tollgate?: object;
  error?: { message: string; type: string; param: string | null; code: string };
}

export class Customer {
  readonly accountId: string;
  readonly key: string;
  readonly keyId: string;

  private constructor(accountId: string, key: string, keyId: string) {
    this.accountId = accountId;
    this.key = key;
    this.keyId = keyId;
  }

  static async withCredit(credit: NanoUsd = usd(5), limits: Partial<NewKey> = {}): Promise<Customer> {
    const accountId = await newAccount();
    const { key, row } = await createKey(database(env), await pepperKey(config(env)), {
      accountId,
      name: 'test',
      nowMs: Date.now(),
      ...limits,
    });
    const customer = new Customer(accountId, key, row.id);
    checkedAtEnd(accountId, env.WALLET.getByName(accountId));
    if (credit > 0) await customer.wallet.grant({ grantId: 'trial', amountNanoUsd: credit });
    return customer;
  }

  get wallet() {
    return env.WALLET.getByName(this.accountId);
  }

  balance() {
    return this.wallet.balance();
  }

  /** Sends a request and returns as soon as there are headers. `settled` resolves once the Worker has nothing left to do. */
  async send(
    body: object,
    { using = env, signal, headers }: AskOptions = {},
  ): Promise<{ response: Response; requestId: string; settled: () => Promise<void> }> {
    const context = createExecutionContext();
    const request = new Request('https://tollgate.test/v1/chat/completions', {
      method: 'POST',
      headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }], ...body }),
      ...(signal && { signal }),
    });
    const response = await app.fetch(request, using, context);
    const requestId = response.headers.get('x-request-id')!;
    return { response, requestId, settled: () => waitOnExecutionContext(context) };
  }

  /** Sends a request and reads the response to its end. */
  async ask(body: object, options?: AskOptions): Promise<Answer> {
    const { response, requestId, settled } = await this.send(body, options);
    const text = unmarked(await response.text());
    await settled();
    const answer = withoutMarks(text);
    const events = answer.startsWith('data:')
      ? answer
          .split('\n\n')
          .filter((event) => event !== '')
          .map((event) => event.replace(/^data: /, ''))
      : [answer];
    const chunks = events.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as Chunk);
    return {
      status: response.status,
      headers: response.headers,
      requestId,
      text,
      events,
      chunks,
      content: chunks
        .map(({ choices }) => choices?.[0]?.delta?.content ?? choices?.[0]?.message?.content ?? '')
        .join(''),
      record: await this.wallet.request(requestId),
    };
  }
}

/** A stream as a client sees it that passes over the agent's marks, but not over keep-alives. */
export function unmarked(text: string): string {
  return text.replace(/^: (u|end) .*\n\n/gm, '');
}

/** The real environment with other settings. They are strings, like environment variables. */
export function withSettings(settings: Record<string, string>): Env {
  return { ...env, ...settings };
}

/** The charge for such usage at `PRICE`. */
export function costOf(prompt: number, completion: number, cached = 0): NanoUsd {
  return nanoUsd(cached * PRICE.hit + (prompt - cached) * PRICE.miss + completion * PRICE.output);
}
