/** A body's bytes, read into one buffer again and again where the body can: as much at a time as is there, and no new memory for each. */

/** The events of some hundred tokens. A thousand streams of an isolate share its 128 MB. */
const BUFFER_BYTES = 16 * 1024;

export interface ByteReader {
  /** @returns what is valid until the next call; null: the body has ended */
  read(): Promise<Uint8Array | null>;
  cancel(): Promise<void>;
}

export function byteReader(body: ReadableStream<Uint8Array>): ByteReader {
  return intoBuffer(body) ?? byChunk(body.getReader());
}

/** Null: the body is no byte stream, as those that are made in JavaScript seldom are. */
function intoBuffer(body: ReadableStream<Uint8Array>): ByteReader | null {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: 'byob' });
  } catch {
    return null;
  }
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (value) buffer = value.buffer as ArrayBuffer;
      return done || !value ? null : value;
    },
    cancel: () => reader.cancel(),
  };
}

function byChunk(reader: ReadableStreamDefaultReader<Uint8Array>): ByteReader {
  return {
    async read() {
      const { done, value } = await reader.read();
      return done ? null : value;
    },
    cancel: () => reader.cancel(),
  };
}
