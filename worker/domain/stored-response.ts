/**
 * Responses that are stored for the conversation's next turn (`previous_response_id`, `item_reference`): the interface of
 * the object that keeps them, and its bounds. What is kept is sealed: the object knows sizes, times and which response
 * follows which.
 */
import { BODY_BYTES_MAX } from './body-size.ts';
import { retentionMs } from './retention.ts';

/** The 30 days for which OpenAI keeps responses, which its clients rely on. */
export const STORED_FOR_MS = retentionMs('stored_response');
/**
 * Sealed bytes that an account's responses may take, after compression; the oldest go first. Hundreds of hours of an agent's
 * work fit, and the storage costs less than 6 cents a month.
 */
export const STORED_BYTES_MAX = 256 << 20;
/** Bytes that a response counts for beside its content, so that many tiny ones are bounded, too. */
export const STORED_ROW_BYTES = 512;
/** Bytes of stored items that a request may refer to: as many as it may send itself. */
export const REFERRED_BYTES_MAX = BODY_BYTES_MAX;
/** Stored responses that a request may refer to, or whose chain it may continue; reading more takes too long. */
export const REFERRED_MAX = 1_000;

/** The sections of a stored response, each sealed on its own, so that one is read without the others. */
export const SECTIONS = ['input', 'output', 'response'] as const;
export type Section = (typeof SECTIONS)[number];

export interface SealedResponse {
  /** Hash of the response's id and of who may use it. */
  readonly lookup: string;
  /** The lookup of the response that it continues; null: it begins a conversation. */
  readonly previous: string | null;
  /** Nonce and ciphertext of each section. */
  readonly sections: Readonly<Record<Section, Uint8Array>>;
  /** Bytes of the items before compression. */
  readonly sizes: Readonly<Record<'input' | 'output', number>>;
}

export interface WantedResponse {
  readonly lookup: string;
  readonly sections: readonly Section[];
  /** Whether the responses that it continues are wanted, too. */
  readonly chain: boolean;
}

export type LoadedSections = Readonly<Partial<Record<Section, Uint8Array>>>;

export interface LoadedResponse {
  /** The response, then those that it continues, newest first; empty: it is not stored. */
  readonly links: readonly LoadedSections[];
  /**
   * Why there are no more links: the conversation began there, the next one is not stored, or was just removed, or it would
   * be too much.
   */
  readonly end: 'beginning' | 'missing' | 'removed' | 'too_large';
}

/** The Durable Object with the stored responses of one account. */
export interface ResponseStoreApi {
  /** Keeps a response; of the account's oldest ones, those go that no longer fit. Repeating it is safe. */
  keep(sealed: SealedResponse): Promise<void>;
  /** @returns one result for each, in order */
  load(wanted: readonly WantedResponse[]): Promise<LoadedResponse[]>;
  /** @returns whether it was stored; `again`: it was removed a moment ago */
  remove(lookup: string): Promise<'removed' | 'missing' | 'again'>;
  /** Removes everything, as the account is closed. */
  erase(): Promise<void>;
}
