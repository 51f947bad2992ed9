/**
 * The record of a streamed answer that the edge keeps while it passes: its text, for a retry under the same idempotency key, and
 * the items of a response, which its last event repeats. Most answers need neither.
 */
import type { AnswerEnd, Tail } from '../../../gpu-pool/answers/formatter.ts';
import { withoutMarks } from '../../../gpu-pool/answers/marks.ts';
import { OutputItems } from '../../../gpu-pool/answers/output-items.ts';
import { finishedResponse } from '../../../gpu-pool/answers/responses.ts';
import type { AnswerFormat } from '../../../gpu-pool/protocol/answer-format.ts';
import type { AnswerRecorder } from '../idempotency/idempotent-run.ts';

export class StreamRecord {
  readonly #format: AnswerFormat;
  readonly #recorder: AnswerRecorder | null;
  #output: OutputItems | null = null;
  #blocks: Blocks | null = null;

  constructor(format: AnswerFormat, recorder: AnswerRecorder | null) {
    this.#format = format;
    this.#recorder = recorder;
  }

  /** Begins anew, for one attempt's answer. @returns a function that takes its bytes: see `AnswerReader` */
  begin(): (bytes: Uint8Array) => void {
    const output = this.#format.dialect === 'responses' ? new OutputItems() : null;
    const recorder = this.#recorder;
    const blocks = recorder === null ? null : new Blocks((text) => recorder.write(withoutMarks(text)));
    this.#output = output;
    this.#blocks = blocks;
    return (bytes) => {
      output?.push(bytes);
      blocks?.push(bytes);
    };
  }

  /** JSON of the items of a response that has ended; other dialects have none. */
  get items(): readonly string[] {
    return this.#output?.items ?? [];
  }

  /** The object of a response that has ended; null: the dialect has none. */
  response(end: AnswerEnd, tail: Tail): object | null {
    const format = this.#format;
    return format.dialect === 'responses' ? finishedResponse(format, end, tail, this.items) : null;
  }

  /** @param last the text behind the agent's. @param isWhole a retry may be given the answer */
  end(last: string, isWhole: boolean): void {
    this.#blocks?.end();
    this.#recorder?.write(last);
    this.#recorder?.end(isWhole);
  }
}

/** Cuts the bytes of a stream of events into whole blocks. */
class Blocks {
  readonly #utf8 = new TextDecoder();
  readonly #take: (text: string) => void;
  #rest = '';

  constructor(take: (text: string) => void) {
    this.#take = take;
  }

  push(bytes: Uint8Array): void {
    const text = this.#rest + this.#utf8.decode(bytes, { stream: true });
    const end = text.lastIndexOf('\n\n') + 2;
    if (end > 1) this.#take(text.slice(0, end));
    this.#rest = end > 1 ? text.slice(end) : text;
  }

  end(): void {
    this.#take(this.#rest);
    this.#rest = '';
  }
}
