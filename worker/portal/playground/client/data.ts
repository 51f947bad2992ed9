/** What the page tells its script, as JSON in the page. */
import type { playgroundEn } from '../../../i18n/en/playground.ts';
import type { Locale } from '../../../i18n/locale.ts';

export interface PlaygroundData {
  readonly locale: Locale;
  /** ends in /v1; for the code that is shown */
  readonly baseUrl: string;
  readonly models: readonly PlaygroundModel[];
  /** the account's keys that may pay, the newest first; never empty */
  readonly keys: readonly { readonly id: string; readonly name: string }[];
  readonly phrases: Phrases;
}

export interface PlaygroundModel {
  readonly id: string;
  readonly name: string;
  readonly outputTokensMax: number;
  readonly outputTokensDefault: number;
}

/** Texts only, since JSON has no functions: `{name}` stands for what is filled in. */
export type Phrases = (typeof playgroundEn)['island'];

/** Answer of `POST /playground/token`. */
export interface PlaygroundToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** Ids of the elements where the page keeps its data, and where the script draws. */
export const DATA_ID = 'playground-data';
export const ROOT_ID = 'playground';
