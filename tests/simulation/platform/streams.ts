/**
 * ReadableStream as the Worker uses it: one reader and a queue of one chunk (the default high-water mark), which is pulled
 * when there is room. Node's own would cost more than the rest of a simulated request, and settles in process.nextTick.
 */

export interface Source<T> {
  start?(controller: Controller<T>): void;
  pull?(controller: Controller<T>): Promise<void> | void;
  cancel?(reason?: unknown): Promise<void> | void;
}

type Read<T> = { done: false; value: T } | { done: true; value: undefined };

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
  readonly #controller: Controller<T>;
  readonly #queue: T[] = [];
  #waiting: { resolve: (read: Read<T>) => void; reject: (reason: unknown) => void }[] = [];
  #state: 'open' | 'closing' | 'closed' | 'failed' = 'open';
  #reason: unknown;
  #pulling = false;
  #endIsKnown = false;

  constructor(source: Source<T> = {}) {
    this.#source = source;
    this.#controller = new Controller(this);
    source.start?.(this.#controller);
    this.#pullLater();
  }

  /** True when the reader knows that the stream is over: it has read the end, or cancelled. */
  get endIsKnown(): boolean {
    return this.#endIsKnown;
  }

  getReader() {
    return { read: () => this.#read(), cancel: (reason?: unknown) => this.cancel(reason), releaseLock() {} };
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

  fail(reason: unknown): void {
    if (this.#state === 'closed' || this.#state === 'failed') return;
    this.#state = 'failed';
    this.#reason = reason;
    this.#queue.length = 0;
    this.#endIsKnown = this.#waiting.length > 0;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  #read(): Promise<Read<T>> {
    if (this.#queue.length > 0) {
      const value = this.#queue.shift()!;
      if (this.#state === 'closing' && this.#queue.length === 0) this.#state = 'closed';
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
    if (this.#queue.length >= QUEUE_CHUNKS && this.#waiting.length === 0) return;
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
