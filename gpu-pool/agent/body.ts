/**
 * Reads a JSON body up to a size limit. The edge sends plain JSON, so an encoded body is refused rather than
 * unpacked.
 */
import type { IncomingMessage } from 'node:http';
import type { RequestError } from './request-error.ts';

/** A prompt of 128k tokens is below 1 MiB; the rest leaves space for tools and history. */
export const BODY_BYTES_MAX = 8 << 20;

export async function readJsonBody(req: IncomingMessage): Promise<{ json: unknown } | RequestError> {
  if (req.headers['content-encoding'] !== undefined)
    return badRequest('The request body must not be compressed.');
  if (Number(req.headers['content-length'] ?? 0) > BODY_BYTES_MAX)
    return badRequest('The request body is too large.');
  const text = await readBounded(req);
  if (text === null) return badRequest('The request body is too large or incomplete.');
  try {
    return { json: JSON.parse(text) };
  } catch {
    return badRequest('The request body is not valid JSON.');
  }
}

/**
 * The body's text, or null when it is too large or broke off. The rest of a large body is read and dropped, so that
 * the error still reaches the sender.
 */
function readBounded(req: IncomingMessage): Promise<string | null> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
      else {
        chunks = [];
        resolve(null);
      }
    });
    req.on('end', () => {
      resolve(Buffer.concat(chunks).toString('utf8'));
      // The request lives as long as its answer, and these listeners with it.
      chunks = [];
    });
    req.on('close', () => resolve(null));
    req.on('error', () => resolve(null));
  });
}

function badRequest(message: string): RequestError {
  return { code: 'bad_request', message };
}
