/** Finds where a JSON object or list ends, however its text is cut: agents and edge know by it that a call's arguments are whole. */

export class JsonEnd {
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** Takes text from the opening bracket on; returns the length of it up to the closing one, null while it is open. */
  feed(text: string): number | null {
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at];
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (character === '\\') this.#escaped = true;
        else if (character === '"') this.#inString = false;
      } else if (character === '"') this.#inString = true;
      else if (character === '{' || character === '[') this.#depth += 1;
      else if (character === '}' || character === ']') {
        this.#depth -= 1;
        if (this.#depth <= 0) return at + 1;
      }
    }
    return null;
  }
}
