/** A file's content in R2: its parts (worker/domain/file-parts.ts) are the objects `files/{id}/{part}`, from part 0. */
import { PartSplitter } from '../domain/file-parts.ts';
import { LoggableError } from '../lib/describe-error.ts';

export function partName(fileId: string, part: number): string {
  return `files/${fileId}/${part}`;
}

/** Writes a file to R2 part by part. */
export class PartWriter {
  readonly #bucket: R2Bucket;
  readonly #fileId: string;
  readonly #cutter = new PartSplitter();
  bytes = 0;
  parts = 0;

  constructor(bucket: R2Bucket, fileId: string) {
    this.#bucket = bucket;
    this.#fileId = fileId;
  }

  /** @returns false when a line is too long: the caller should then stop writing */
  async write(bytes: Uint8Array): Promise<boolean> {
    this.bytes += bytes.byteLength;
    const part = this.#cutter.push(bytes);
    if (part === 'line_too_long') return false;
    if (part) await this.#put(part);
    return true;
  }

  async end(): Promise<void> {
    const rest = this.#cutter.end();
    if (rest) await this.#put(rest);
  }

  async #put(part: Uint8Array): Promise<void> {
    await this.#bucket.put(partName(this.#fileId, this.parts), part);
    this.parts += 1;
  }
}

/** @throws Error when the part is missing: a file's row and its parts are created and removed together */
export async function readPart(bucket: R2Bucket, fileId: string, part: number): Promise<Uint8Array> {
  const object = await bucket.get(partName(fileId, part));
  if (object === null) throw new LoggableError(`part ${part} of ${fileId} is missing`);
  return new Uint8Array(await object.arrayBuffer());
}

/** Streams the whole file, reading one part at a time. */
export function streamParts(bucket: R2Bucket, fileId: string, parts: number): ReadableStream<Uint8Array> {
  let part = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (part === parts) return controller.close();
        controller.enqueue(await readPart(bucket, fileId, part++));
      },
    },
    { highWaterMark: 0 },
  );
}

export async function deleteParts(bucket: R2Bucket, fileId: string, parts: number): Promise<void> {
  const names = Array.from({ length: parts }, (_, part) => partName(fileId, part));
  if (names.length > 0) await bucket.delete(names);
}
