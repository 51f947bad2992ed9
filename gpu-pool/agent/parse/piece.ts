/** The parts into which a parser takes a model's raw text apart. */
export type Piece =
  | { kind: 'reasoning' | 'content'; text: string }
  /** Opens the next call. `id`: where the model's own template wants an id of a form of its own. */
  | { kind: 'call'; name: string; id?: string }
  /** More of the arguments of the call that was opened last. */
  | { kind: 'arguments'; text: string };

/**
 * Takes text apart as it arrives. However a text is cut, the pieces joined are the same: a parser holds back what it
 * cannot decide yet, which is no more than the beginning of a tag, blanks beside one, or a call without arguments so far.
 */
export interface Parser {
  feed(text: string): Piece[];
  /** The pieces of what is held back, when no more text comes. `cut`: the model had more to say. */
  end(options: { cut: boolean }): Piece[];
}

export function content(text: string): Piece[] {
  return text === '' ? [] : [{ kind: 'content', text }];
}

export function reasoning(text: string): Piece[] {
  return text === '' ? [] : [{ kind: 'reasoning', text }];
}

/** A whole call. */
export function wholeCall(name: string, argumentsJson: string): Piece[] {
  return [
    { kind: 'call', name },
    { kind: 'arguments', text: argumentsJson },
  ];
}
