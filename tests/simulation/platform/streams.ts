/**
 * Streams as the Worker uses them. A ReadableStream has one reader and a queue of one chunk (the default high-water mark), which
 * is pulled when there is room. Node's own would cost more than the rest of a simulated request, and settles in
 * process.nextTick.
 */

export interface Source<T> {
  start?(controller: Controller<T>): void;
  pull?(controller: Controller<T>): Promise<void> | void;
  cancel?(reason?: unknown): Promise<void> | void;
}

type Read<T> = { done: false; value: T } | { done: true; value: T | undefined };

export class Controller<T> {
  readonly #stream: SimReadableStream<T>;
  constructor(stream: SimReadableStream<T>) {
    this.#stream = stream;
  }
  enqueue(chunk: T): void {
    this.#stream.push(chunk);
  }
  close(): void {
    this.#stream.finish();
  }
  error(reason: unknown): void {
    this.#stream.fail(reason);
  }
}

const QUEUE_CHUNKS = 1;

export class SimReadableStream<T = Uint8Array> {
  readonly #source: Source<T>;
  readonly #queueChunks: number;
  readonly #controller: Controller<T>;
  readonly #queue: T[] = [];
  #waiting: { resolve: (read: Read<T>) => void; reject: (reason: unknown) => void }[] = [];
  #state: 'open' | 'closing' | 'closed' | 'failing' | 'failed' = 'open';
  #reason: unknown;
  #pulling = false;
  #endIsKnown = false;

  constructor(source: Source<T> = {}, { highWaterMark = QUEUE_CHUNKS }: { highWaterMark?: number } = {}) {
    this.#source = source;
    this.#queueChunks = highWaterMark;
    this.#controller = new Controller(this);
    source.start?.(this.#controller);
    this.#pullLater();
  }

  /** True when the reader knows that the stream is over: it has read the end, or cancelled. */
  get endIsKnown(): boolean {
    return this.#endIsKnown;
  }

  /** With `mode: 'byob'`, `read` takes a view and fills it with all that is there. */
  getReader() {
    return {
      read: (view?: Uint8Array) => (view === undefined ? this.#read() : this.#readInto(view)),
      cancel: (reason?: unknown) => this.cancel(reason),
      releaseLock() {},
    };
  }

  /** As workerd's: whichever branch is read first pulls for both, and a break comes behind all bytes. */
  tee(): [SimReadableStream<T>, SimReadableStream<T>] {
    const reader = this.getReader();
    const branches: SimReadableStream<T>[] = [];
    let pulling: Promise<void> | null = null;
    let left = 2;
    const pull = () => {
      pulling ??= reader
        .read()
        .then(
          ({ done, value }) => {
            for (const branch of branches) {
              if (done) branch.finish();
              else branch.push(value!);
            }
          },
          (error: unknown) => {
            for (const branch of branches) branch.breakOff(error);
          },
        )
        .finally(() => {
          pulling = null;
        });
      return pulling;
    };
    const cancel = async (reason: unknown) => {
      left -= 1;
      if (left === 0) await this.cancel(reason);
    };
    for (const _ of [0, 1]) branches.push(new SimReadableStream<T>({ pull, cancel }, { highWaterMark: 0 }));
    return [branches[0]!, branches[1]!];
  }

  async pipeTo(
    destination: SimWritable<T>,
    options: { preventClose?: boolean; preventAbort?: boolean } = {},
  ) {
    const writer = destination.getWriter();
    for (;;) {
      let read: Read<T>;
      try {
        read = await this.#read();
      } catch (error) {
        if (!options.preventAbort) await writer.abort(error);
        throw error;
      }
      if (read.done) break;
      try {
        await writer.write(read.value);
      } catch (error) {
        await this.cancel(error).catch(() => undefined);
        throw error;
      }
    }
    if (!options.preventClose) await writer.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (let read = await this.#read(); !read.done; read = await this.#read()) yield read.value;
  }

  /** Returns the stream unchanged: SimCompressionStream does not compress, so nothing must be decompressed. */
  pipeThrough(): this {
    return this;
  }

  async cancel(reason?: unknown): Promise<void> {
    this.#endIsKnown = true;
    if (this.#state === 'closed') return;
    if (this.#state === 'failed') throw this.#reason;
    this.#state = 'closed';
    this.#queue.length = 0;
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
    await this.#source.cancel?.(reason);
  }

  push(chunk: T): void {
    if (this.#state !== 'open') return;
    const reader = this.#waiting.shift();
    if (reader) reader.resolve({ done: false, value: chunk });
    else this.#queue.push(chunk);
  }

  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = this.#queue.length === 0 ? 'closed' : 'closing';
    if (this.#state === 'closed' && this.#waiting.length > 0) {
      this.#endIsKnown = true;
      for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
    }
  }

  /** Fails behind what waits. */
  breakOff(reason: unknown): void {
    if (this.#state === 'open' && this.#queue.length > 0) {
      this.#state = 'failing';
      this.#reason = reason;
    } else this.fail(reason);
  }

  fail(reason: unknown): void {
    if (this.#state === 'closed' || this.#state === 'failed') return;
    this.#state = 'failed';
    this.#reason = reason;
    this.#queue.length = 0;
    this.#endIsKnown = this.#waiting.length > 0;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  async #readInto(view: Uint8Array): Promise<Read<T>> {
    const first = await this.#read();
    if (first.done) return { done: true, value: new Uint8Array(0) as never };
    let filled = 0;
    let next = first.value as Uint8Array | undefined;
    while (next !== undefined) {
      const part = next.subarray(0, view.length - filled);
      view.set(part, filled);
      filled += part.length;
      if (part.length < next.length) this.#queue.unshift(next.subarray(part.length) as never);
      next = filled < view.length && this.#queue.length > 0 ? (this.#shift() as never) : undefined;
    }
    return { done: false, value: view.subarray(0, filled) as never };
  }

  #shift(): T {
    const value = this.#queue.shift()!;
    if (this.#queue.length > 0) return value;
    if (this.#state === 'closing') this.#state = 'closed';
    if (this.#state === 'failing') this.#state = 'failed';
    return value;
  }

  #read(): Promise<Read<T>> {
    if (this.#queue.length > 0) {
      const value = this.#shift();
      this.#pull();
      return Promise.resolve({ done: false, value });
    }
    if (this.#state !== 'open') this.#endIsKnown = true;
    if (this.#state === 'failed') return Promise.reject(this.#reason);
    if (this.#state !== 'open') return Promise.resolve({ done: true, value: undefined });
    const read = new Promise<Read<T>>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#pull();
    return read;
  }

  #pullLater(): void {
    if (this.#source.pull) void Promise.resolve().then(() => this.#pull());
  }

  #pull(): void {
    if (!this.#source.pull || this.#pulling || this.#state !== 'open') return;
    if (this.#queue.length >= this.#queueChunks && this.#waiting.length === 0) return;
    this.#pulling = true;
    Promise.resolve(this.#source.pull(this.#controller)).then(
      () => {
        this.#pulling = false;
        this.#pull();
      },
      (error) => this.fail(error),
    );
  }
}

/** The writable side of a SimIdentityTransformStream. */
export interface SimWritable<T = Uint8Array> {
  getWriter(): {
    write(chunk: T): Promise<void>;
    close(): Promise<void>;
    abort(reason?: unknown): Promise<void>;
    releaseLock(): void;
  };
  abort(reason?: unknown): Promise<void>;
}

interface PendingWrite {
  readonly chunk: Uint8Array;
  readonly taken: () => void;
  readonly failed: (reason: unknown) => void;
}

/** Bytes as they come: a write waits until it is read, and fails once the reader has left. */
export class SimIdentityTransformStream {
  readonly #writes: PendingWrite[] = [];
  /** Ends a wait for the next write. */
  #pulled: (() => void) | null = null;
  #isClosing = false;
  #left: { reason: unknown } | null = null;
  readonly readable = new SimReadableStream<Uint8Array>(
    {
      pull: () =>
        new Promise((pulled) => {
          this.#pulled = pulled;
          this.#pass();
        }),
      cancel: () => this.#leave(new TypeError('Network connection lost.')),
    },
    { highWaterMark: 0 },
  );
  readonly writable: SimWritable = {
    getWriter: () => ({
      write: (chunk) => this.#write(chunk),
      close: async () => {
        this.#isClosing = true;
        this.#pass();
      },
      abort: (reason) => this.writable.abort(reason),
      releaseLock() {},
    }),
    abort: async (reason) => {
      this.#leave(reason);
      this.readable.fail(reason);
    },
  };

  #write(chunk: Uint8Array): Promise<void> {
    if (this.#left) return Promise.reject(this.#left.reason);
    return new Promise((taken, failed) => {
      this.#writes.push({ chunk, taken, failed });
      this.#pass();
    });
  }

  #pass(): void {
    if (this.#pulled !== null && this.#writes.length > 0) {
      const { chunk, taken } = this.#writes.shift()!;
      this.readable.push(chunk.slice());
      taken();
      this.#pulled();
      this.#pulled = null;
    }
    if (this.#isClosing && this.#writes.length === 0) this.readable.finish();
  }

  #leave(reason: unknown): void {
    this.#left ??= { reason };
    for (const { failed } of this.#writes.splice(0)) failed(reason);
  }
}

/** Passes data through uncompressed, because the size of stored answers does not matter here. */
export class SimCompressionStream {
  readonly readable = new SimReadableStream<Uint8Array>();
  readonly writable = {
    getWriter: () => ({
      write: async (chunk: Uint8Array) => this.readable.push(chunk),
      close: async () => this.readable.finish(),
    }),
  };
}
