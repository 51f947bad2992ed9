/** Calls as a customer makes them, over the real routes, and what came back. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import type { Env } from '../../../../worker/env.ts';
import app from '../../../../worker/index.ts';
import { env } from '../client.ts';

export interface Sent {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of several shapes
  body: any;
  text: string;
}

export async function send(
  { key }: { key: string },
  method: string,
  path: string,
  body?: object,
  { using = env, headers = {} }: { using?: Env; headers?: Record<string, string> } = {},
): Promise<Sent> {
  const context = createExecutionContext();
  const response = await app.fetch(
    new Request(`https://tollgate.test${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      ...(body && { body: JSON.stringify(body) }),
    }),
    using,
    context,
  );
  const text = await response.text();
  await waitOnExecutionContext(context);
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
}

export const respond = (caller: { key: string }, body: object, options?: Parameters<typeof send>[4]) =>
  send(caller, 'POST', '/v1/responses', body, options);
