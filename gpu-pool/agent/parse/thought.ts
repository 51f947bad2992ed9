/**
 * Tells a model's thought from its answer. A thought is open where the prompt has opened it, or where the text begins with
 * `<think>`; it ends at the first `</think>`. Tags anywhere else are text, such as those of an answer that explains them.
 */
import { content, type Parser, type Piece, reasoning } from './piece.ts';
import { findTag, HeldText } from './tags.ts';

export const THINK = '<think>';
/** Blanks before the tag that opens a thought; more are text. */
const BLANKS_MAX = 64;
export const THINK_END = '</think>';

/** How the calls of a family begin, for a model that calls a tool and never ends its thought. */
export interface CallStart {
  tag: string;
  /** Tells a call from a thought that only names the tag, by the text behind it; null: more text is needed. */
  begins(behind: string): boolean | null;
}

export class ThoughtParser implements Parser {
  readonly #callStart: CallStart | null;
  readonly #tags: readonly string[];
  #state: 'start' | 'thought' | 'call' | 'answer' = 'start';
  /** Whether the text so far is inside a thought. */
  #open: boolean;
  /** Whether `<think>` has been seen: only another that follows at once is left out too. */
  #opened = false;
  #buffer = '';
  /** A call that may be one, unless the thought goes on behind it. */
  readonly #call = new HeldText(THINK_END);

  /**
   * `open`: the prompt has opened a thought. `callStart`: null where a call never begins inside a thought. `goesOnIn`: the
   * prompt ends within a thought or an answer, so that no tag at the beginning opens one.
   */
  constructor({
    open,
    callStart = null,
    goesOnIn,
  }: {
    open: boolean;
    callStart?: CallStart | null;
    goesOnIn?: 'thought' | 'answer' | undefined;
  }) {
    this.#open = goesOnIn === undefined ? open : goesOnIn === 'thought';
    if (goesOnIn !== undefined) this.#state = goesOnIn;
    this.#callStart = callStart;
    this.#tags = callStart === null ? [THINK_END] : [THINK_END, callStart.tag];
  }

  /** Whether the text so far ends inside a thought. */
  get thinking(): boolean {
    return this.#open && (this.#state === 'start' || this.#state === 'thought');
  }

  /** Whether no more of the text can be reasoning. */
  get answering(): boolean {
    return this.#state === 'answer';
  }

  feed(text: string): Piece[] {
    if (this.#state === 'answer') return content(text);
    if (this.#state === 'call') return this.#inCall(text);
    this.#buffer += text;
    return this.#state === 'start' ? this.#atStart() : this.#inThought();
  }

  end(): Piece[] {
    const rest = this.#buffer;
    this.#buffer = '';
    // The thought never ended, so that what looks like a call is one.
    if (this.#state === 'call') return content(this.#call.take());
    return this.#open ? reasoning(rest) : content(rest);
  }

  /** Leaves out tags at the very beginning. Blanks before the first are no part of the thought. */
  #atStart(): Piece[] {
    for (;;) {
      const text = this.#opened ? this.#buffer : this.#buffer.trimStart();
      if (this.#buffer.length - text.length > BLANKS_MAX) break;
      if (THINK.startsWith(text) && text !== THINK) return [];
      if (!text.startsWith(THINK)) break;
      this.#opened = true;
      this.#open = true;
      this.#buffer = text.slice(THINK.length);
    }
    this.#state = this.#open ? 'thought' : 'answer';
    if (this.#open) return this.#inThought();
    return content(this.#takeBuffer());
  }

  #inThought(): Piece[] {
    const pieces: Piece[] = [];
    for (;;) {
      const { at, tag } = findTag(this.#buffer, this.#tags);
      pieces.push(...reasoning(this.#buffer.slice(0, at)));
      this.#buffer = this.#buffer.slice(at);
      if (tag === null) return pieces;
      if (tag === THINK_END) {
        this.#state = 'answer';
        this.#buffer = this.#buffer.slice(tag.length);
        return [...pieces, ...content(this.#takeBuffer())];
      }
      const begins = this.#callStart?.begins(this.#buffer.slice(tag.length)) ?? null;
      if (begins === null) return pieces;
      if (begins) {
        this.#state = 'call';
        return [...pieces, ...this.#inCall(this.#takeBuffer())];
      }
      pieces.push(...reasoning(tag));
      this.#buffer = this.#buffer.slice(tag.length);
    }
  }

  #inCall(text: string): Piece[] {
    const ended = this.#call.add(text);
    if (ended === null) return [];
    this.#state = 'answer';
    return [...reasoning(ended.body), ...content(ended.rest)];
  }

  #takeBuffer(): string {
    const text = this.#buffer;
    this.#buffer = '';
    return text;
  }
}
