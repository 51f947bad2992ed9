/**
 * Decodes server-sent events: bytes go in, and the `data` of each complete event comes out, however the bytes were cut.
 * Lines end in LF, CRLF or CR (WHATWG HTML, "9.2.6 Interpreting an event stream"). Fields other than `data` are ignored.
 */

/** Longest event. The largest real one holds a tool call's arguments; a longer one is a fault or an attack. */
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

  /**
   * Jumps from one line end to the next, since a stream is mostly text between
   * them. It looks for CR only where there is one.
   */
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
