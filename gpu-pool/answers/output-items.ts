/**
 * The finished items of a streamed response, read out of its events on their way to the client: the last event repeats them
 * all, and whoever writes it has not assembled them.
 */

/** The texts around an item in an event that `ResponseStream` writes. No string in JSON holds one of them unescaped. */
const EVENT = 'event: response.output_item.done\n';
const ITEM = ',"item":';
const END = '}\n\n';

export class OutputItems {
  readonly #utf8 = new TextDecoder();
  /** JSON of each item. */
  readonly items: string[] = [];
  /** The text from an item's event on, or what may be the beginning of one. */
  #rest = '';

  /** Takes the next bytes of the stream, however it was cut. */
  push(bytes: Uint8Array): void {
    this.take(this.#utf8.decode(bytes, { stream: true }));
  }

  /** Takes the next text of the stream. */
  take(text: string): void {
    this.#rest += text;
    for (;;) {
      const start = this.#rest.indexOf(EVENT);
      if (start < 0) {
        this.#rest = this.#rest.slice(-(EVENT.length - 1));
        return;
      }
      const end = this.#rest.indexOf(END, start);
      this.#rest = this.#rest.slice(start);
      if (end < 0) return;
      const event = this.#rest.slice(0, end - start);
      this.items.push(event.slice(event.indexOf(ITEM) + ITEM.length));
      this.#rest = this.#rest.slice(event.length);
    }
  }
}
