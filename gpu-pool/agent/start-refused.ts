/** Why an agent does not start. The message is one sentence for the operator that says what to do. */
export type StartRefusedCode =
  | 'bad_option'
  | 'edge_unreachable'
  | 'engine_exposed'
  | 'engine_unreachable'
  | 'enrol_refused'
  | 'join_token_missing'
  | 'listen_failed'
  | 'state_unusable';

export class StartRefused extends Error {
  override readonly name = 'StartRefused';
  readonly code: StartRefusedCode;

  constructor(code: StartRefusedCode, message: string) {
    super(message);
    this.code = code;
  }
}
