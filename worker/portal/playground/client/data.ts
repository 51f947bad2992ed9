/** The data that the page passes to its script, as JSON in the page. */
import type { playgroundEn } from '../../../i18n/en/playground.ts';
import type { Locale } from '../../../i18n/locale.ts';

export interface PlaygroundData {
  readonly locale: Locale;
  /** of the public API, ends in /v1; for the code that is shown */
  readonly baseUrl: string;
  readonly models: readonly PlaygroundModel[];
  /** the account's keys that may pay, newest first; never empty */
  readonly keys: readonly { readonly id: string; readonly name: string }[];
  readonly phrases: Phrases;
}

export interface PlaygroundModel {
  readonly id: string;
  readonly name: string;
  readonly outputTokensMax: number;
  readonly outputTokensDefault: number;
}

/** Texts only, because JSON has no functions: `fill` replaces `{name}` by a value. */
export type Phrases = (typeof playgroundEn)['island'];

/** The response of `POST /playground/token`. */
export interface PlaygroundToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** Ids of the element with the page's data, and of the one that the script draws into. */
export const DATA_ID = 'playground-data';
export const ROOT_ID = 'playground';
