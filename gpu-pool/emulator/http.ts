/** Reading and sending bodies, for every route. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Headers of every answer. An explicit `connection` keeps Node from adding `Keep-Alive: timeout=5`: uvicorn gives
 * no such hint, and a client that saw one would never meet the race between reuse and closing.
 */
export const CONNECTION = { connection: 'keep-alive', server: 'uvicorn' } as const;

/** Sends an answer; an object becomes JSON, a string goes out as it is. */
export function send(res: ServerResponse, status: number, body: object | string, type?: string): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const contentType = type ?? 'application/json';
  res.writeHead(status, { ...CONNECTION, ...(text === '' ? {} : { 'content-type': contentType }) });
  res.end(text);
}

/** The body as JSON; undefined when it is empty or not JSON, which each route refuses with a message of its own. */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    return undefined;
  }
}
