/** HTTP client of the engine, which keeps its connections (engine-connections.ts). Redirects are never followed. */
import type { IncomingMessage } from 'node:http';
import { requestEngine } from './engine-connections.ts';

export interface Engine {
  /** Origin of the engine, e.g. `http://127.0.0.1:30000`. */
  url: URL;
  key?: string | undefined;
  /** Key for `/abort_request`, which SGLang guards with the admin key when it has one. */
  adminKey?: string | undefined;
}

export interface EngineFailure {
  /** refused: nothing listens; reset: the connection broke; timeout: nothing came in time */
  failure: 'refused' | 'reset' | 'timeout';
}

export interface EngineAnswer {
  status: number;
  /** Parsed JSON, or null where the body is something else. */
  body: unknown;
}

interface Call {
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
  admin?: boolean;
  signal?: AbortSignal;
}

/** The engine's short answers are loads, model info and errors; a longer one is cut and counts as not JSON. */
const ANSWER_BYTES_MAX = 1 << 20;

/** Starts a call and resolves with the response's head. Aborting `signal` ends the call at any point. */
export async function openEngine(engine: Engine, call: Call): Promise<IncomingMessage | EngineFailure> {
  const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
  const key = call.admin ? (engine.adminKey ?? engine.key) : engine.key;
  try {
    return await requestEngine(engine.url, {
      method: call.method,
      path: call.path,
      payload,
      signal: call.signal,
      headers: {
        accept: 'text/event-stream, application/json',
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      },
    });
  } catch (error) {
    return { failure: failureOf(error as NodeJS.ErrnoException) };
  }
}

/** One whole call, with a deadline over head and body. */
export async function callEngine(
  engine: Engine,
  call: Call & { timeoutMs: number },
): Promise<EngineAnswer | EngineFailure> {
  const timeout = AbortSignal.timeout(call.timeoutMs);
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
  const response = await openEngine(engine, { ...call, signal });
  if ('failure' in response) return timeout.aborted ? { failure: 'timeout' } : response;
  const body = await readSmall(response);
  if (timeout.aborted) return { failure: 'timeout' };
  return { status: response.statusCode ?? 0, body };
}

/** Reads a short JSON body; null for anything else, however it ends. */
export function readSmall(response: IncomingMessage): Promise<unknown> {
  return readJson(response, ANSWER_BYTES_MAX);
}

/** Reads a JSON body of no more than some bytes; null for anything else, however it ends. */
export async function readJson(response: IncomingMessage, bytesMax: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) return null;
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return null;
  } finally {
    response.destroy();
  }
}

function failureOf(error: NodeJS.ErrnoException): EngineFailure['failure'] {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout';
  return ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH'].includes(error.code ?? '') ? 'refused' : 'reset';
}
