/**
 * Connections to the engine, kept between requests: a new one for each takes three times the CPU of a kept one.
 * A connection whose response is not read to its end is closed, which is how SGLang learns that nobody waits any more.
 */
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';

/**
 * SGLang (uvicorn) closes a connection that has been idle for 5 s, unannounced (`SGLANG_TIMEOUT_KEEP_ALIVE`, environ.py).
 * The agent closes it two seconds before, so that none is closed while a request is on its way, unless an event loop was
 * busy for that long.
 */
export const IDLE_MS = 3_000;
/**
 * Idle connections that are kept; a burst that ends at once leaves no more. Those in use are bounded by the requests that
 * the agent admits, and one that waited for another's connection would wait outside of its deadlines.
 */
const IDLE_MAX = 256;

const options = { keepAlive: true, timeout: IDLE_MS, maxFreeSockets: IDLE_MAX, scheduling: 'lifo' } as const;
const clients = {
  http: { request: http.request, agent: new http.Agent(options) },
  https: { request: https.request, agent: new https.Agent(options) },
};

export interface EngineHttpRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: OutgoingHttpHeaders;
  payload: string | undefined;
  /** Ends the request at any point. */
  signal: AbortSignal | undefined;
}

/**
 * Sends a request and resolves with the response's head. Where the connection breaks, nothing is sent again: the engine may
 * have begun. A connection that it closed while it was idle is out of use the moment it closes.
 * @throws the error of the connection, or that of the signal
 */
export function requestEngine(
  url: URL,
  { method, path, headers, payload, signal }: EngineHttpRequest,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const client = url.protocol === 'https:' ? clients.https : clients.http;
    const request = client.request({
      ...{ protocol: url.protocol, hostname: unbracketed(url.hostname), port: url.port },
      ...{ method, path, headers, agent: client.agent },
      // The idle limit is none of the response: its deadlines are the caller's.
      timeout: 0,
    });
    request.once('response', resolve);
    request.on('error', reject);
    if (signal !== undefined) destroyWhenAborted(request, signal);
    request.end(payload);
  });
}

/** Ends the request when the signal is aborted, as the option `signal` does, for a third of its CPU. */
function destroyWhenAborted(request: ClientRequest, signal: AbortSignal): void {
  const destroy = () => void request.destroy(signal.reason);
  if (signal.aborted) {
    destroy();
    return;
  }
  signal.addEventListener('abort', destroy, { once: true });
  request.once('close', () => signal.removeEventListener('abort', destroy));
}

/** The host of an IPv6 URL is in brackets, which a socket does not take. */
function unbracketed(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
