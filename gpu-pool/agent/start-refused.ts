/**
 * Reasons for which an agent does not start. The message tells the operator what to do, in one sentence for each
 * fault.
 */
export type StartRefusedCode =
  | 'bad_option'
  | 'edge_unreachable'
  | 'engine_down'
  | 'engine_exposed'
  | 'engine_unfit'
  | 'engine_unreachable'
  | 'enrol_refused'
  | 'join_token_missing'
  | 'listen_failed'
  | 'state_locked'
  | 'state_unusable';

export class StartRefused extends Error {
  override readonly name = 'StartRefused';
  readonly code: StartRefusedCode;

  constructor(code: StartRefusedCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Text of others made safe for a terminal: no control characters, and not too long. */
export function printable(text: string, charactersMax = 120): string {
  return text.replace(/\p{C}+/gu, ' ').slice(0, charactersMax);
}
