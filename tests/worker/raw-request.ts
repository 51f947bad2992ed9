/** Sends the edge requests of any shape, well-formed or not, and checks that its errors have the proper form. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import app from '../../worker/index.ts';
import { type Customer, env } from './gateway/client.ts';

export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: BodyInit | null;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The error of the envelope; undefined: there is none. */
  readonly error: { message: string; type: string; param: string | null; code: string } | undefined;
}

/** Sends the request, with the customer's key unless its headers name another, and reads the response to its end. */
export async function sendRaw(customer: Customer, raw: RawRequest): Promise<RawResponse> {
  const { method = 'POST', path = '/v1/chat/completions', body } = raw;
  const headers = new Headers({
    authorization: `Bearer ${customer.key}`,
    'content-type': 'application/json',
  });
  for (const [name, value] of Object.entries(raw.headers ?? {})) headers.set(name, value);
  const context = createExecutionContext();
  const request = new Request(`https://tollgate.test${path}`, { method, headers, body });
  const response = await app.fetch(request, env, context);
  const text = await response.text();
  await waitOnExecutionContext(context);
  const error = response.status < 400 || text === '' ? undefined : JSON.parse(text).error;
  return { status: response.status, headers: response.headers, text, error };
}

/** The faults of an error response, which must be a 4xx in the envelope with the headers that every response has. */
export function errorFaults({ status, headers, text, error }: RawResponse): string[] {
  const faults: string[] = [];
  if (status < 400 || status > 499) faults.push(`status ${status}`);
  if (headers.get('content-type') !== 'application/json') faults.push('not said to be JSON');
  if (!/^req_\w{26}$/.test(headers.get('x-request-id') ?? '')) faults.push('no x-request-id');
  if (headers.get('request-id') !== headers.get('x-request-id')) faults.push('two request ids');
  if (!/^\d+$/.test(headers.get('openai-processing-ms') ?? '')) faults.push('no openai-processing-ms');
  if (headers.get('x-should-retry') !== 'false') faults.push('may be retried');
  if (Object.keys(JSON.parse(text)).join() !== 'error') faults.push('more than an error');
  if (
    Object.keys(error ?? {})
      .sort()
      .join() !== 'code,message,param,type'
  )
    faults.push('not the four fields');
  for (const name of ['code', 'message', 'type'] as const) {
    if (typeof error?.[name] !== 'string' || error[name] === '') faults.push(`no ${name}`);
  }
  if (error?.param !== null && typeof error?.param !== 'string') faults.push('no param');
  return faults;
}
