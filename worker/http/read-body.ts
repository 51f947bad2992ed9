/** Step 2: the body, bounded before it is parsed and parsed once. */
import { joined } from '../domain/bytes.ts';
import type { ApiError } from './api-error.ts';

/** 4 MiB holds a full context of text several times over. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** A conversation with tools nests ten deep; deeper than this is an attack on recursive readers, ours or the engine's. */
const DEPTH_MAX = 40;

/** `application/json` and its kin (`…+json`); no other charset than UTF-8, which is the default. */
const JSON_UTF8 = /^application\/([\w.-]+\+)?json\s*(;(?!.*charset=(?!"?utf-8)).*)?$/i;

type Read = { ok: true; body: Record<string, unknown>; bytes: Uint8Array } | { ok: false; refusal: ApiError };

/** A JSON object from the request's body, or why not. The body is abandoned as soon as it is too large. */
export async function readJsonObject(request: Request): Promise<Read> {
  const mediaType = request.headers.get('content-type');
  if (mediaType !== null && !JSON_UTF8.test(mediaType))
    return { ok: false, refusal: { reason: 'wrong_media_type' } };
  if (!/^(identity)?$/i.test(request.headers.get('content-encoding') ?? '')) {
    return { ok: false, refusal: { reason: 'encoded_body' } };
  }
  let bytes: Uint8Array | null;
  try {
    bytes = await readBounded(request);
  } catch {
    // the client left in the middle of it, or its chunks are no chunks
    return invalid('The body broke off before its end. Send all that `Content-Length` says.');
  }
  if (bytes === null) return { ok: false, refusal: { reason: 'body_too_large', limitBytes: BODY_BYTES_MAX } };
  return parseObject(bytes);
}

async function readBounded(request: Request): Promise<Uint8Array | null> {
  const length = request.headers.get('content-length');
  // HTTP holds a body to the length that it says; one that says none is stopped where it is too long
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
  return joined(chunks);
}

function invalid(message: string): Read {
  return { ok: false, refusal: { reason: 'not_json', message } };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

function parseObject(bytes: Uint8Array): Read {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return invalid('The body is not valid UTF-8.');
  }
  if (depthOf(text) > DEPTH_MAX) {
    return invalid(`The body nests deeper than ${DEPTH_MAX} levels. Send a flatter one.`);
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return invalid('The body is not valid JSON. Check for a missing quote, comma or bracket.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return invalid('The body must be a JSON object, like {"model": "deepseek-reasoner", "messages": […]}.');
  }
  return { ok: true, body: body as Record<string, unknown>, bytes };
}

/** The deepest nesting of objects and arrays, counted without building any of them. */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === QUOTE) i = endOfString(json, i);
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

/** Where the string that begins at `start` has its closing quote: the first that is not escaped. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let escapes = 0;
    while (json.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return json.length;
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [...'"\\{}[]'].map((char) =>
  char.charCodeAt(0),
);
