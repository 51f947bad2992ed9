/** Step 2 of a request: reading the body. Its size is bounded before it is parsed, and it is parsed once. */
import { BODY_BYTES_MAX } from '../domain/body-size.ts';
import { concatBytes } from '../domain/bytes.ts';
import { DEPTH_MAX, depthOf, PARSED_FIRST_LENGTH_MAX, valueDepth } from '../domain/json-depth.ts';
import type { ApiError } from './api-error.ts';

/** Matches `application/json` and `application/…+json`, with no charset other than UTF-8, which is the default. */
const JSON_UTF8 = /^application\/([\w.-]+\+)?json\s*(;(?!.*charset=(?!"?utf-8)).*)?$/i;

type ReadBody =
  | { ok: true; body: Record<string, unknown>; bytes: Uint8Array }
  | { ok: false; error: ApiError };

/** Reads a JSON object from the request's body. Reading stops as soon as the body is too large. */
export async function readJsonObject(request: Request): Promise<ReadBody> {
  const mediaType = request.headers.get('content-type');
  if (mediaType !== null && !JSON_UTF8.test(mediaType))
    return { ok: false, error: { reason: 'wrong_media_type' } };
  if (!/^(identity)?$/i.test(request.headers.get('content-encoding') ?? '')) {
    return { ok: false, error: { reason: 'encoded_body' } };
  }
  let bytes: Uint8Array | null;
  try {
    bytes = await readBounded(request);
  } catch {
    // the client disconnected before the end of the body, or its chunked encoding is malformed
    return invalidJson('The request body ended early. Send as many bytes as `Content-Length` states.');
  }
  if (bytes === null) return { ok: false, error: { reason: 'body_too_large', limitBytes: BODY_BYTES_MAX } };
  return parseObject(bytes);
}

async function readBounded(request: Request): Promise<Uint8Array | null> {
  const length = request.headers.get('content-length');
  // HTTP enforces a declared Content-Length; a body without one is counted and cut off at the limit
  if (length === null) return readChunks(request);
  if (Number(length) > BODY_BYTES_MAX) return null;
  const bytes = new Uint8Array(await request.arrayBuffer());
  return bytes.byteLength > BODY_BYTES_MAX ? null : bytes;
}

async function readChunks(request: Request): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return concatBytes(chunks);
}

function invalidJson(message: string): ReadBody {
  return { ok: false, error: { reason: 'not_json', message } };
}

function tooDeep(): ReadBody {
  return invalidJson(`The request body is nested more than ${DEPTH_MAX} levels deep. Send a flatter one.`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

function parseObject(bytes: Uint8Array): ReadBody {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return invalidJson('The request body is not valid UTF-8.');
  }
  const isParsedFirst = text.length <= PARSED_FIRST_LENGTH_MAX;
  if (!isParsedFirst && depthOf(text) > DEPTH_MAX) return tooDeep();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    if (depthOf(text) > DEPTH_MAX) return tooDeep();
    return invalidJson('The request body is not valid JSON. Check for a missing quote, comma or bracket.');
  }
  if (isParsedFirst && valueDepth(body) > DEPTH_MAX) return tooDeep();
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return invalidJson('The request body must be a JSON object, such as {"model": "…", "messages": […]}.');
  }
  return { ok: true, body: body as Record<string, unknown>, bytes };
}
