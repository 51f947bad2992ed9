/** Headers, Request and Response as the Worker uses them. A body is kept in its original form until it is read. */
import type { SimAbortSignal } from './abort.ts';
import { SimReadableStream } from './streams.ts';

type HeadersInitial = SimHeaders | Record<string, string> | Iterable<readonly [string, string]>;

export class SimHeaders {
  readonly #values = new Map<string, string>();

  constructor(initial?: HeadersInitial) {
    if (!initial) return;
    const pairs = Symbol.iterator in initial ? initial : Object.entries(initial);
    for (const [name, value] of pairs) this.append(name, value);
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }
  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }
  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), String(value));
  }
  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${value}`);
  }
  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }
  forEach(each: (value: string, name: string) => void): void {
    this.#values.forEach(each);
  }
  entries() {
    return this.#values.entries();
  }
  [Symbol.iterator]() {
    return this.#values[Symbol.iterator]();
  }
}

type BodySource = string | Uint8Array | ArrayBuffer | SimReadableStream | null | undefined;

class Body {
  readonly #given: BodySource;
  #stream: SimReadableStream | null = null;

  constructor(body: BodySource) {
    this.#given = body;
  }

  get body(): SimReadableStream | null {
    if (this.#given === null || this.#given === undefined) return null;
    if (this.#given instanceof SimReadableStream) return this.#given;
    const bytes = toBytes(this.#given);
    this.#stream ??= new SimReadableStream({
      start(controller) {
        controller.enqueue(bytes);
        controller.close();
      },
    });
    return this.#stream;
  }

  async bytes(): Promise<Uint8Array> {
    if (!(this.#given instanceof SimReadableStream)) return toBytes(this.#given ?? '');
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#given) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = await this.bytes();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  }

  async text(): Promise<string> {
    return typeof this.#given === 'string' ? this.#given : new TextDecoder().decode(await this.bytes());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }
}

export class SimRequest extends Body {
  readonly url: string;
  readonly method: string;
  readonly headers: SimHeaders;
  readonly signal: SimAbortSignal;

  constructor(
    url: string,
    init: { method?: string; headers?: HeadersInitial; body?: BodySource; signal: SimAbortSignal },
  ) {
    super(init.body);
    this.url = url;
    this.method = init.method ?? 'GET';
    this.headers = new SimHeaders(init.headers);
    this.signal = init.signal;
  }
}

export class SimResponse extends Body {
  readonly status: number;
  readonly headers: SimHeaders;

  constructor(body?: BodySource, init: { status?: number; headers?: HeadersInitial } = {}) {
    super(body);
    this.status = init.status ?? 200;
    this.headers = init.headers instanceof SimHeaders ? init.headers : new SimHeaders(init.headers);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  static json(value: unknown, init?: { status?: number; headers?: HeadersInitial }): SimResponse {
    return new SimResponse(JSON.stringify(value), init);
  }
}

export class SimBlob {
  readonly #parts: readonly Uint8Array[];
  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return new SimResponse(Buffer.concat(this.#parts)).arrayBuffer();
  }
}

function toBytes(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  return body instanceof Uint8Array ? body : new Uint8Array(body);
}
