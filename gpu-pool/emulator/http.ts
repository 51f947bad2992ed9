/** Reading and sending bodies, for every route. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Headers of every answer. An explicit `connection` keeps Node from adding `Keep-Alive: timeout=5`: uvicorn gives
 * no such hint, and a client that saw one would never meet the race between reuse and closing. SGLang answers browsers of
 * any origin, hence `vary`.
 */
const PLAIN = { connection: 'keep-alive', server: 'uvicorn' } as const;
export const CONNECTION = { ...PLAIN, vary: 'Origin' } as const;

/** Sends an answer; an object becomes JSON, a string goes out as it is. */
export function send(
  res: ServerResponse,
  status: number,
  body: object | string,
  {
    type,
    headers = {},
    forBrowsers = true,
  }: { type?: string; headers?: Record<string, string>; forBrowsers?: boolean } = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const contentType = type ?? 'application/json';
  res.writeHead(status, {
    ...(forBrowsers ? CONNECTION : PLAIN),
    ...(text === '' ? {} : { 'content-type': contentType }),
    ...headers,
  });
  res.end(text);
}

/**
 * The body as JSON; undefined when it is empty or not JSON, which each route refuses with a message of its own. Half of a
 * surrogate pair is no JSON to Python.
 */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  try {
    const body: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'));
    return isWellFormed(body) ? body : undefined;
  } catch {
    return undefined;
  }
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => name.isWellFormed() && isWellFormed(member));
}
