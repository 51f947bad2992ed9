/**
 * Ends an answer at a stop string. The agent does it and not the engine, which looks for stop strings in the reasoning
 * too: R1's first characters are a line break, so that `stop: ["\n"]` would end every answer before it begins.
 */

/** Text of an answer with the log-probabilities that came with it. */
export interface TextPiece {
  text: string;
  logprobs: unknown;
}

export class StopStrings {
  readonly #stops: readonly string[];
  /** The end of the text so far that may be the beginning of a stop string. */
  #held: TextPiece[] = [];

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /**
   * Takes the next piece. Returns what may be passed on, and the stop string that ends the answer there; of several, the one
   * that begins first, and of these the longest.
   */
  feed(piece: TextPiece): { pieces: TextPiece[]; matched: string | null } {
    if (this.#stops.length === 0) return { pieces: [piece], matched: null };
    this.#held.push(piece);
    const text = this.#held.map((held) => held.text).join('');
    const found = this.#stops
      .map((stop) => ({ stop, at: text.indexOf(stop) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at || b.stop.length - a.stop.length)[0];
    if (found === undefined) return { pieces: this.#take(this.#safeLength(text)), matched: null };
    const pieces = this.#take(found.at);
    this.#held = [];
    return { pieces, matched: found.stop };
  }

  /** The text that is still held when the answer ends without a stop string. */
  flush(): TextPiece[] {
    return this.#held.splice(0);
  }

  /** How much of a text cannot become part of a stop string any more. */
  #safeLength(text: string): number {
    const longest = Math.max(...this.#stops.map((stop) => stop.length));
    for (let from = Math.max(0, text.length - longest + 1); from < text.length; from += 1) {
      const end = text.slice(from);
      if (this.#stops.some((stop) => stop.startsWith(end))) return from;
    }
    return text.length;
  }

  /** Takes the first characters of what is held. The log-probabilities of a piece go with its end. */
  #take(length: number): TextPiece[] {
    const pieces: TextPiece[] = [];
    let left = length;
    while (left > 0 && this.#held.length > 0) {
      const [first] = this.#held as [TextPiece];
      if (first.text.length > left) {
        pieces.push({ text: first.text.slice(0, left), logprobs: undefined });
        this.#held[0] = { ...first, text: first.text.slice(left) };
        break;
      }
      left -= first.text.length;
      pieces.push(first);
      this.#held.shift();
    }
    return pieces;
  }
}
