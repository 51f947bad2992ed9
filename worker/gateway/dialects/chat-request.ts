/** The canonical request: what every dialect reads its body into, and what the pipeline works on. */
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';

export interface ChatRequest {
  /** as the client named it */
  readonly model: string;
  readonly stream: boolean;
  /** null: the model's default */
  readonly maxTokens: number | null;
  readonly choices: number;
  /** what the client says its conversation is; null: its opening is what it is known by */
  readonly sessionKey: string | null;
  /** the field that holds the prompt, as the client knows it */
  readonly promptField: string;
  /** UTF-8 bytes of everything that is rendered into the prompt */
  readonly contentBytes: number;
  /** of `generate` what is rendered, as fields of its JSON: `"messages":[…],"tools":[…]` */
  readonly rendered: string;
  /** the allow-listed fields for the node */
  readonly generate: Omit<GenerateRequest, 'max_tokens' | 'cache_salt'>;
}
