/**
 * The input of a free-form tool's call, read out of the arguments `{"input":"…"}` while a model still writes them. The text
 * is the same however the arguments were cut into chunks, and whatever the model wrote instead of such arguments.
 */
/** The name of the only parameter of the function that stands for a free-form tool. */
export const INPUT = 'input';

type State =
  | 'start'
  /** within the object, before a key */
  | 'key'
  | 'in_key'
  | 'colon'
  | 'value'
  | 'in_text'
  | 'in_other'
  /** the rest has nothing to show */
  | 'done'
  /** the arguments are no JSON: they are the input themselves */
  | 'raw';

/** A piece of a JSON string, and whether the string ends behind it. */
interface Decoded {
  readonly text: string;
  readonly ended: boolean;
}

const NOTHING: Decoded = { text: '', ended: false };
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const BLANK = /\s/;

export class CustomInput {
  /** The input as far as it is known. */
  text = '';
  #arguments = '';
  #state: State = 'start';
  /** The input is shown as it comes; otherwise it is known only at the end. */
  #isShown = false;
  #key = '';
  /** The beginning of an escape: the backslash and what has followed it so far. */
  #escape = '';
  /** The first half of a surrogate pair, which is not shown alone. */
  #half = '';
  /** The open brackets of a value that is skipped, and whether a string in it is open. */
  #depth = 0;
  #isQuoted = false;

  /** @returns the text that the chunk adds to the input */
  push(chunk: string): string {
    this.#arguments += chunk;
    let added = '';
    for (let at = 0; at < chunk.length; at++) added += this.#step(chunk[at]!);
    return this.#emit(added);
  }

  /** @returns the text that the end adds to the input */
  end(): string {
    const added = this.#emit(this.#isShown ? '' : inputOf(this.#arguments));
    if (this.#half === '') return added;
    this.#half = '';
    this.text += '\ufffd';
    return `${added}\ufffd`;
  }

  #step(character: string): string {
    switch (this.#state) {
      case 'start':
        return this.#start(character);
      case 'key':
        if (character === '"') this.#state = 'in_key';
        else if (character === '}') this.#state = 'done';
        return '';
      case 'in_key': {
        const { text, ended } = this.#decode(character);
        this.#key += text;
        if (ended) this.#state = 'colon';
        return '';
      }
      case 'colon':
        if (character === ':') this.#state = 'value';
        return '';
      case 'value':
        return this.#value(character);
      case 'in_text': {
        const { text, ended } = this.#decode(character);
        if (ended) this.#state = 'done';
        return text;
      }
      case 'in_other':
        return this.#skip(character);
      case 'raw':
        return character;
      case 'done':
        return '';
    }
  }

  #start(character: string): string {
    if (BLANK.test(character)) return '';
    if (character === '{') this.#state = 'key';
    else {
      this.#isShown = true;
      this.#state = character === '"' ? 'in_text' : 'raw';
    }
    return this.#state === 'raw' ? character : '';
  }

  #value(character: string): string {
    if (BLANK.test(character)) return '';
    const isInput = this.#key === INPUT && character === '"';
    this.#key = '';
    if (isInput) {
      this.#isShown = true;
      this.#state = 'in_text';
      return '';
    }
    this.#state = 'in_other';
    return this.#skip(character);
  }

  #skip(character: string): string {
    if (this.#isQuoted) this.#isQuoted = !this.#decode(character).ended;
    else if (character === '"') this.#isQuoted = true;
    else if (character === '{' || character === '[') this.#depth += 1;
    else if (this.#depth > 0 && (character === '}' || character === ']')) this.#depth -= 1;
    else if (this.#depth === 0 && character === ',') this.#state = 'key';
    else if (this.#depth === 0 && character === '}') this.#state = 'done';
    return '';
  }

  /** Takes a character of a JSON string. An escape that JSON does not know stays as it was written. */
  #decode(character: string): Decoded {
    if (this.#escape === '') {
      if (character !== '\\') return character === '"' ? { text: '', ended: true } : shown(character);
      this.#escape = character;
      return NOTHING;
    }
    const sequence = this.#escape + character;
    this.#escape = '';
    if (/^\\u[\da-f]{0,3}$/i.test(sequence)) {
      this.#escape = sequence;
      return NOTHING;
    }
    if (/^\\u[\da-f]{4}$/i.test(sequence))
      return shown(String.fromCharCode(Number.parseInt(sequence.slice(2), 16)));
    if (sequence.length === 2) return shown(ESCAPES[character] ?? sequence);
    // The character behind an unfinished `\u12` may end the string, or begin another escape.
    const { text, ended } = this.#decode(character);
    return { text: sequence.slice(0, -1) + text, ended };
  }

  /** Adds to the input. Only whole characters are shown: half of a surrogate pair waits for the other. */
  #emit(text: string): string {
    const joined = this.#half + text;
    const last = joined.charCodeAt(joined.length - 1);
    const endsInHalf = last >= 0xd800 && last <= 0xdbff;
    this.#half = endsInHalf ? joined.slice(-1) : '';
    const whole = (endsInHalf ? joined.slice(0, -1) : joined).toWellFormed();
    this.text += whole;
    return whole;
  }
}

function shown(text: string): Decoded {
  return { text, ended: false };
}

/** The input of complete arguments that have no string of its name: a lone string under another name, or all of it. */
function inputOf(json: string): string {
  try {
    return inputIn(JSON.parse(json)) ?? json.trim();
  } catch {
    return json.trim();
  }
}

function inputIn(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const entries = Object.entries(value);
  const [, input] = entries.find(([name]) => name === INPUT) ?? (entries.length === 1 ? entries[0]! : []);
  if (entries.length === 0 || (INPUT in value && input === null)) return '';
  if (typeof input === 'string') return input;
  return INPUT in value ? JSON.stringify(input) : null;
}
