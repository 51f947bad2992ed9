/**
 * What a file holds, in R2: parts of some megabytes, each of whole lines, so that a batch can be read and written
 * without ever holding all of it. `files/{id}/{part}`.
 */

/** A fraction of an isolate's 128 MB. */
export const PART_BYTES = 4 * 1024 * 1024;
/** A request is no larger either; what comes without any line end is no JSONL. */
export const LINE_BYTES_MAX = PART_BYTES;

const LINE_FEED = 10;

export function partName(fileId: string, part: number): string {
  return `files/${fileId}/${part}`;
}

/** Cuts what is written into parts. */
export class PartWriter {
  readonly #bucket: R2Bucket;
  readonly #fileId: string;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  bytes = 0;
  parts = 0;

  constructor(bucket: R2Bucket, fileId: string) {
    this.#bucket = bucket;
    this.#fileId = fileId;
  }

  /** @returns false when a line is too long: nothing more should be written then */
  async write(bytes: Uint8Array): Promise<boolean> {
    this.bytes += bytes.byteLength;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes < PART_BYTES) return true;
    const all = joined(this.#waiting, this.#waitingBytes);
    const end = all.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) return all.byteLength <= LINE_BYTES_MAX;
    await this.#put(all.subarray(0, end));
    // a copy: a view would keep the whole part alive
    this.#waiting = [all.slice(end)];
    this.#waitingBytes = all.byteLength - end;
    return true;
  }

  async end(): Promise<void> {
    if (this.#waitingBytes > 0) await this.#put(joined(this.#waiting, this.#waitingBytes));
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    await this.#bucket.put(partName(this.#fileId, this.parts), bytes);
    this.parts += 1;
  }
}

/** @throws Error when the part is not there: rows and parts of a file are made and removed together */
export async function readPart(bucket: R2Bucket, fileId: string, part: number): Promise<Uint8Array> {
  const object = await bucket.get(partName(fileId, part));
  if (object === null) throw new Error(`part ${part} of ${fileId} is missing`);
  return new Uint8Array(await object.arrayBuffer());
}

/** The whole file, a part at a time. */
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

/** Where each line of a part begins and ends, without its line end; empty lines are none. */
export function* linesOf(part: Uint8Array): Generator<{ start: number; end: number }> {
  let start = 0;
  while (start < part.byteLength) {
    const at = part.indexOf(LINE_FEED, start);
    const next = at === -1 ? part.byteLength : at + 1;
    const isBlank = part.subarray(start, next).every((byte) => byte <= 32);
    if (!isBlank) yield { start, end: at === -1 ? next : at };
    start = next;
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
