/** Receives a form with a file as a stream: the file goes to R2 part by part and is never in memory as a whole. */
import { Readable } from 'node:stream';
import { Busboy, type BusboyFileStream } from '@fastify/busboy';
import { LINE_BYTES_MAX } from '../domain/file-parts.ts';
import { isVisible } from '../domain/name.ts';
import { FILE_BYTES_MAX, FILE_EXTENSIONS, hasFileExtension, isText } from '../domain/upload.ts';
import type { ApiError } from '../http/api-error.ts';
import { HIDDEN_CHARACTERS } from '../http/fields.ts';
import { deleteParts, PartWriter } from './file-parts.ts';

const EXTENSIONS = FILE_EXTENSIONS.map((each) => `.${each}`).join(', ');

/** In code points; the rest of a longer name is cut off. */
const FILE_NAME_LENGTH_MAX = 256;

export interface Upload {
  readonly name: string;
  readonly bytes: number;
  readonly parts: number;
  readonly fields: Readonly<Record<string, string>>;
}

const MALFORMED = 'is incomplete, or the form is malformed';

/** OpenAI's clients send three fields. */
const FORM_LIMITS = { files: 1, fields: 10, fieldSize: 1_024 } as const;
const FORM_TOO_LARGE = `must come in a form of one file and at most ${FORM_LIMITS.fields} other fields of ${FORM_LIMITS.fieldSize} bytes each`;

type Uploaded = { ok: true; upload: Upload } | { ok: false; refusal: ApiError };

/** Stores the form's field `file`. An upload that is refused or broken off leaves no parts behind. */
export async function receiveUpload(bucket: R2Bucket, request: Request, fileId: string): Promise<Uploaded> {
  const writer = new PartWriter(bucket, fileId);
  try {
    const uploaded = await receive(request, writer);
    if (!uploaded.ok) await deleteParts(bucket, fileId, writer.parts);
    return uploaded;
  } catch (error) {
    await deleteParts(bucket, fileId, writer.parts);
    throw error;
  }
}

async function receive(request: Request, writer: PartWriter): Promise<Uploaded> {
  const contentType = request.headers.get('content-type') ?? '';
  if (!/^multipart\/form-data\s*;/i.test(contentType) || request.body === null) {
    return refused('file', 'must be sent as multipart/form-data with the fields `purpose` and `file`');
  }
  if (Number(request.headers.get('content-length') ?? 0) > FILE_BYTES_MAX) return tooLarge();
  const form = formReader(contentType);
  if (form === null) return refused('file', MALFORMED);
  const fields: Record<string, string> = {};
  let file: { name: string; written: Promise<Written>; stream: BusboyFileStream } | null = null;
  let overflow = false;
  form.on('field', (name, value, _, isValueCut) => {
    fields[name] = value;
    overflow ||= isValueCut;
  });
  // The parser leaves out what is past its limits, and a field that was left out would not be obeyed.
  for (const limit of ['fieldsLimit', 'partsLimit', 'filesLimit'] as const)
    form.once(limit, () => {
      overflow = true;
    });
  form.on('file', (field, stream, name) => {
    if (field === 'file' && file === null) file = { name, written: writeAll(stream, writer), stream };
    else stream.resume();
  });
  const done = new Promise<void>((resolve, reject) => {
    form.once('finish', resolve);
    form.once('error', reject);
  });
  const body = Readable.fromWeb(request.body as unknown as Parameters<typeof Readable.fromWeb>[0]);
  body.once('error', (error) => form.destroy(error));
  body.pipe(form);
  try {
    await done;
  } catch {
    return refused('file', MALFORMED);
  }
  // TypeScript does not see that the listener assigns `file`.
  const received = file as { name: string; written: Promise<Written>; stream: BusboyFileStream } | null;
  if (received === null) return refused('file', overflow ? FORM_TOO_LARGE : 'is required');
  const written = await received.written;
  if (overflow) return refused('file', FORM_TOO_LARGE);
  const name = received.name.normalize('NFC');
  if (!isVisible(name)) return refused('file', `${HIDDEN_CHARACTERS} in its name`);
  if (!hasFileExtension(name)) return refused('file', `must be named ${EXTENSIONS}`);
  if (written === 'not_text') return refused('file', 'is not text. Send JSONL, not compressed');
  if (written === 'long_line') {
    return refused(
      'file',
      `has a line of more than ${LINE_BYTES_MAX} bytes. Send JSONL with one request per line`,
    );
  }
  if (received.stream.truncated) return tooLarge();
  if (writer.bytes === 0) return refused('file', 'is empty');
  const { bytes, parts } = writer;
  return {
    ok: true,
    upload: { name: [...name].slice(0, FILE_NAME_LENGTH_MAX).join(''), bytes, parts, fields },
  };
}

/** The parser of a form; null: its Content-Type has no boundary that could be read. */
function formReader(contentType: string): InstanceType<typeof Busboy> | null {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      limits: { ...FORM_LIMITS, fileSize: FILE_BYTES_MAX, parts: FORM_LIMITS.files + FORM_LIMITS.fields },
    });
  } catch {
    return null;
  }
}

type Written = 'whole' | 'not_text' | 'long_line';

async function writeAll(stream: BusboyFileStream, writer: PartWriter): Promise<Written> {
  let written: Written = 'whole';
  let isFirst = true;
  // A file that is refused is still read to its end, because the form ends only when its file has.
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    if (isFirst && !isText(chunk)) written = 'not_text';
    isFirst = false;
    if (written === 'whole' && !(await writer.write(chunk))) written = 'long_line';
  }
  if (written === 'whole') await writer.end();
  return written;
}

function refused(param: string, what: string): { ok: false; refusal: ApiError } {
  return { ok: false, refusal: { reason: 'invalid_field', param, message: `\`${param}\` ${what}.` } };
}

function tooLarge(): { ok: false; refusal: ApiError } {
  return { ok: false, refusal: { reason: 'body_too_large', limitBytes: FILE_BYTES_MAX } };
}
