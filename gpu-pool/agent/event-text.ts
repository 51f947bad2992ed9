/**
 * Takes a text of server-sent events apart. The form in which SGLang writes them, one `data: ` line and a blank one, is
 * read by hand; from the first text of another form on, the parser of the whole standard reads the rest of the stream.
 */
import { createParser, type EventSourceParser } from 'eventsource-parser';

/** An event is some hundred bytes; a line longer than this comes from a broken engine. */
const EVENT_BYTES_MAX = 1 << 20;

const DATA = 'data: ';
const NEWLINE = 10;
const EMPTY = Buffer.alloc(0);

export class EventText {
  /** The beginning of an event that is not whole yet. */
  #rest: Buffer = EMPTY;
  #standard: StandardEvents | null = null;

  /** Whether it is no text of events, or a line is too long. */
  get broken(): boolean {
    return this.#standard?.broken ?? this.#rest.length > EVENT_BYTES_MAX;
  }

  /** @returns the data of the events that are whole now */
  feed(bytes: Buffer): string[] {
    if (this.#standard !== null) return this.#standard.feed(bytes);
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const wholeBytes = endOfEvents(all);
    const events = simpleEvents(all.toString('utf8', 0, wholeBytes));
    if (events === null || !beginsSimply(all, wholeBytes)) {
      this.#rest = EMPTY;
      this.#standard = new StandardEvents();
      return this.#standard.feed(all);
    }
    // The bytes of a read are part of a larger buffer, which a slice of them would keep.
    this.#rest = wholeBytes === all.length ? EMPTY : Buffer.from(all.subarray(wholeBytes));
    return events;
  }

  /** The stream is over. @returns the data of an event that lacks its blank line */
  end(): string[] {
    const rest = this.#rest;
    this.#rest = EMPTY;
    if (this.#standard === null && rest.length === 0) return [];
    this.#standard ??= new StandardEvents();
    return [...this.#standard.feed(rest), ...this.#standard.end()];
  }
}

/** How many of the bytes are whole events, as far as line feeds show it. */
function endOfEvents(bytes: Buffer): number {
  for (let at = bytes.length; ; at -= 1) {
    at = bytes.lastIndexOf(NEWLINE, at - 1);
    if (at <= 0) return 0;
    if (bytes[at - 1] === NEWLINE) return at + 1;
  }
}

/** The data of events of one `data: ` line each; null: the text has another form. */
function simpleEvents(text: string): string[] | null {
  if (text.includes('\r')) return null;
  const events: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    if (!text.startsWith(DATA, at) || text[end + 1] !== '\n') return null;
    events.push(text.slice(at + DATA.length, end));
    at = end + 2;
  }
  return events;
}

/** Whether the bytes from there on can be the beginning of an event of one line. */
function beginsSimply(bytes: Buffer, from: number): boolean {
  if (from === bytes.length) return true;
  const text = bytes.toString('latin1', from);
  return text.length < DATA.length ? DATA.startsWith(text) : /^data: [^\r\n]*\n?$/.test(text);
}

/** The standard's parser, for streams of any other form. */
class StandardEvents {
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #events: string[] = [];
  #bytesSinceEvent = 0;
  broken = false;

  constructor() {
    this.#parser = createParser({
      maxBufferSize: EVENT_BYTES_MAX,
      onEvent: ({ data }) => {
        this.#bytesSinceEvent = 0;
        this.#events.push(data);
      },
      onError: () => {
        this.broken = true;
      },
    });
  }

  feed(bytes: Buffer): string[] {
    this.#bytesSinceEvent += bytes.length;
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
    // The parser silently drops lines that cannot be a field, so their length is counted here.
    if (this.#bytesSinceEvent > EVENT_BYTES_MAX) this.broken = true;
    return this.#take();
  }

  end(): string[] {
    this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    return this.#take();
  }

  #take(): string[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
