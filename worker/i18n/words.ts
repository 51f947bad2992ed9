/** The words of one language: its phrases, and how it writes numbers, money and time. */
import type { Messages } from './en/index.ts';
import type { Formats } from './formats.ts';
import type { Locale } from './locale.ts';

export interface Words {
  readonly locale: Locale;
  /** the phrases */
  readonly t: Messages;
  /** numbers, money and time */
  readonly f: Formats;
}
