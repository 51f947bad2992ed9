/**
 * The answer of a fake node as agents send it that write the client's dialect themselves: made of the chunks that a test has
 * scripted. Whatever else is in the script leaves as it is.
 */
import { ReadyAnswer } from '../../gpu-pool/answers/ready-answer.ts';
import {
  ANSWER_HEADER,
  ANSWER_READY,
  type GenerateRequest,
  NodeChunk,
  NodeError,
  type NodeUsage,
} from '../../gpu-pool/protocol/schemas.ts';

const KEEP_ALIVE_MS = 1_000;

const STATUS = {
  unauthorized: 401,
  bad_request: 400,
  overloaded: 503,
  engine_failed: 502,
  engine_timeout: 504,
};

export class FakeReady {
  readonly #answer: ReadyAnswer;
  readonly #isStream: boolean;
  readonly #stop: AbortSignal;
  #generated: NodeUsage = {
    prompt_tokens: 0,
    cached_tokens: 0,
    completion_tokens: 0,
    reasoning_tokens: 0,
  };
  /** The end of what was scripted so far, which is no whole event yet. */
  #begun = '';
  /** The text that an extension has let go. */
  #released = '';
  readonly #decoder = new TextDecoder();
  #wake: () => void = () => {};
  /** The error of an answer that has not begun. */
  #refused: NodeError['error'] | null = null;
  #sent = false;
  #reading: Promise<ReadableStreamReadResult<Uint8Array>> | null = null;

  /** @param stop aborted when the edge stops the request */
  constructor({ answer, budget }: GenerateRequest, stop: AbortSignal) {
    this.#answer = new ReadyAnswer(answer!, budget ?? null, Date.now());
    this.#isStream = answer!.stream;
    this.#stop = stop;
    stop.addEventListener('abort', () => this.#wake());
  }

  /** Takes a call of `/v1/extend`. @returns what the answer may cost now */
  extend(heldNanoUsd: number): number {
    this.#released += this.#answer.extend(heldNanoUsd, Date.now());
    this.#wake();
    return this.#answer.heldNanoUsd;
  }

  /** The response in place of the scripted one, whose head leaves with the first text. */
  async respond(scripted: Response): Promise<Response> {
    if (!scripted.ok || scripted.body === null) return scripted;
    const reader = scripted.body.getReader();
    const first = await this.#next(reader);
    if (this.#refused !== null)
      return Response.json({ error: this.#refused }, { status: STATUS[this.#refused.code] });
    const encoder = new TextEncoder();
    let ahead: string | null | undefined = first;
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const text = ahead === undefined ? await this.#next(reader) : ahead;
          ahead = undefined;
          if (text === null) controller.close();
          else controller.enqueue(encoder.encode(text));
        },
        cancel: () => reader.cancel(),
      },
      { highWaterMark: 0 },
    );
    const headers = new Headers(scripted.headers);
    headers.set('content-type', this.#isStream ? 'text/event-stream' : 'application/x-ndjson');
    headers.set(ANSWER_HEADER, ANSWER_READY);
    return new Response(body, { headers });
  }

  /** The next text; null: the script has ended. While the answer waits for money, the engine is not read, as by an agent. */
  async #next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | null> {
    for (;;) {
      const released = this.#released;
      this.#released = '';
      if (released !== '') return released;
      if (this.#answer.isWaiting && !this.#stop.aborted) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const read = await this.#read(reader);
      if (read === 'quiet') {
        if (!this.#sent) continue;
        return this.#answer.alive(Date.now(), false);
      }
      const { done, value } = read;
      if (done) return this.#begun === '' ? null : this.#rest();
      const blocks = (this.#begun + this.#decoder.decode(value, { stream: true })).split('\n\n');
      this.#begun = blocks.pop()!;
      const text = blocks.map((block) => this.#ready(block)).join('');
      if (text !== '' || this.#refused !== null) {
        this.#sent = true;
        return text;
      }
    }
  }

  /** As an agent, it keeps alive: otherwise nobody would notice that a client has left. */
  #read(reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#reading ??= reader.read().finally(() => {
      this.#reading = null;
    });
    let timer: ReturnType<typeof setTimeout>;
    const quiet = new Promise<'quiet'>((resolve) => {
      timer = setTimeout(() => resolve('quiet'), KEEP_ALIVE_MS);
    });
    return Promise.race([this.#reading, quiet]).finally(() => clearTimeout(timer));
  }

  #rest(): string {
    const rest = this.#begun;
    this.#begun = '';
    return rest;
  }

  #ready(block: string): string {
    const nowMs = Date.now();
    const generated = this.#generated;
    if (block === 'data: [DONE]') {
      const ended = this.#stop.aborted ? 'aborted' : 'finished';
      return this.#answer.finish(ended, { generated, nowMs });
    }
    const json = block.startsWith('data: ') ? jsonOf(block.slice('data: '.length)) : null;
    const chunk = NodeChunk.safeParse(json);
    if (chunk.success) {
      this.#generated = chunk.data.usage;
      return this.#answer.take([chunk.data], nowMs);
    }
    const failed = NodeError.safeParse(json);
    if (!failed.success) return `${block}\n\n`;
    const { error } = failed.data;
    if (this.#sent) return this.#answer.fail(error, { generated, nowMs });
    this.#refused = error;
    return '';
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
