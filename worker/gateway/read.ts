/** Step 2: the body, bounded before it is parsed and parsed once. */
import { joined } from '../domain/bytes.ts';
import type { Refusal } from './refusal.ts';

/** 4 MiB holds a full context of text several times over. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** A conversation with tools nests ten deep; deeper than this is an attack on recursive readers, ours or the engine's. */
const DEPTH_MAX = 40;

/** `application/json` and its kin (`…+json`); no other charset than UTF-8, which is the default. */
const JSON_UTF8 = /^application\/([\w.-]+\+)?json\s*(;(?!.*charset=(?!"?utf-8)).*)?$/i;

type Read = { ok: true; body: Record<string, unknown>; bytes: Uint8Array } | { ok: false; refusal: Refusal };

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
  if (Number(request.headers.get('content-length') ?? 0) > BODY_BYTES_MAX) return null;
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

function parseObject(bytes: Uint8Array): Read {
  if (depthOf(bytes) > DEPTH_MAX) {
    return invalid(`The body nests deeper than ${DEPTH_MAX} levels. Send a flatter one.`);
  }
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch (error) {
    return error instanceof SyntaxError
      ? invalid('The body is not valid JSON. Check for a missing quote, comma or bracket.')
      : invalid('The body is not valid UTF-8.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return invalid('The body must be a JSON object, like {"model": "deepseek-reasoner", "messages": […]}.');
  }
  return { ok: true, body: body as Record<string, unknown>, bytes };
}

/** The deepest nesting of objects and arrays, counted without building any of them. */
function depthOf(json: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [...'"\\{}[]'].map((char) =>
  char.charCodeAt(0),
);
