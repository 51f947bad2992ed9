/**
 * Server-sent events, reading side: bytes in, the `data` of each complete event out, whatever way the bytes were cut.
 * Lines end in LF, CRLF or CR (WHATWG HTML, "9.2.6 Interpreting an event stream"). Only `data` is of interest here.
 */

/** A longer event is none of ours but a fault or an attack: the largest real one is a tool call's arguments. */
const EVENT_CHARS_MAX = 1_048_576;

export class SseDecoder {
  readonly #utf8 = new TextDecoder();
  #line = '';
  #data: string[] = [];
  #dataChars = 0;
  #afterCr = false;

  /** @throws RangeError when a line, or all lines of an event, grow past 1 Mi characters */
  push(bytes: Uint8Array): string[] {
    return this.#take(this.#utf8.decode(bytes, { stream: true }));
  }

  /** Jumps from one line end to the next: a stream is mostly text in between, and mostly without a CR. */
  #take(text: string): string[] {
    const events: string[] = [];
    let start = 0;
    let lf = text.indexOf('\n');
    let cr = text.indexOf('\r');
    while (lf >= 0 || cr >= 0) {
      const isCr = lf < 0 || (cr >= 0 && cr < lf);
      const end = isCr ? cr : lf;
      const secondHalfOfCrlf = this.#afterCr && !isCr && end === start;
      if (!secondHalfOfCrlf) this.#endLine(this.#line + text.slice(start, end), events);
      this.#line = '';
      this.#afterCr = isCr;
      start = end + 1;
      if (isCr) cr = text.indexOf('\r', start);
      else lf = text.indexOf('\n', start);
    }
    if (start < text.length) {
      this.#line += text.slice(start);
      this.#afterCr = false;
    }
    if (this.#line.length + this.#dataChars > EVENT_CHARS_MAX)
      throw new RangeError('an event of the stream is too long');
    return events;
  }

  #endLine(line: string, events: string[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
      this.#dataChars = 0;
    } else if (line === 'data' || line.startsWith('data:')) {
      this.#data.push(line.slice(line.charCodeAt(5) === 32 ? 6 : 5));
      this.#dataChars += line.length;
    }
  }
}

/** One event; `data` must hold no line break, which JSON never does. */
export function sseEvent(data: string): string {
  return `data: ${data}\n\n`;
}
