/** The canonical request, into which every dialect reads its body and with which the rest of the pipeline works. */
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import type { ReasoningRequest } from '../../domain/reasoning.ts';

/**
 * The fields that the engine renders into the prompt, or compiles before it answers: schemas and stop sequences. Their bytes
 * are what a request is measured by until the engine has counted its tokens.
 */
export const RENDERED = ['messages', 'prompt', 'tools', 'response_format', 'stop'] as const;

export interface ChatRequest {
  /** The model's name as the client wrote it. */
  readonly model: string;
  readonly stream: boolean;
  /** The limit on completion tokens per choice; null: the model's default. */
  readonly maxTokens: number | null;
  readonly choices: number;
  /** The client's name for the conversation; null: the conversation is recognized by its opening. */
  readonly sessionKey: string | null;
  /** The name of the prompt's field in the dialect, for error messages. */
  readonly promptField: string;
  /** The path of the message that begins the answer; absent: none does. */
  readonly prefixField?: string | undefined;
  /** The path of the field in which the dialect's clients send the thoughts of earlier answers back. */
  readonly thoughtField: string;
  /** The client’s settings of the model’s reasoning; null: none. */
  readonly reasoning: ReasoningRequest | null;
  /** Names of the body's fields that have no effect; see domain/unread-fields.ts. */
  readonly ignored: readonly string[];
  /** The allow-listed fields that are sent to the node. */
  readonly generate: Omit<GenerateRequest, 'max_tokens' | 'cache_salt'>;
}

/** The `RENDERED` fields as one model's template takes them, serialized and measured. */
export interface Rendered {
  /** The fields as JSON members: `"messages":[…],"tools":[…]`. */
  readonly rendered: string;
  /** Their UTF-8 bytes. */
  readonly contentBytes: number;
  /** Bytes that the engine's chat template can add to them; see domain/template-bytes.ts. */
  readonly templateBytes: number;
}

/** A request once its model is known. */
export interface ModelRequest extends ChatRequest, Rendered {}
