/**
 * The rule for names: of keys, accounts, people, nodes, files, and every other line of text that is shown to others.
 * All letters and signs are allowed, in any script. Characters that are not seen are not, because they make one name
 * look like another or turn the text around it: controls, line and paragraph separators, bidirectional controls,
 * zero-width characters, tags, lone halves of a surrogate pair. This includes the joiners of Persian and Indic
 * scripts and of composed emoji: without them a name stays readable, with them two equal-looking names could exist.
 * Names that are stored already are shown as they are.
 */
import * as z from 'zod';

/** In code points. */
export const NAME_LENGTH_MAX = 80;

/** U+2800 is the blank braille pattern, which Unicode classes as a symbol. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** Whether every character of the text is one that is seen, or a space. */
export function isVisible(text: string): boolean {
  return text.search(HIDDEN) < 0;
}

/** The text without what the rule forbids, cut to `max` code points: for texts that cannot be refused. */
export function visibleText(text: string, max: number): string {
  return [...text.replace(HIDDEN, '')].slice(0, max).join('');
}

export interface NameMessages {
  readonly required: string;
  readonly tooLong: string;
  readonly hidden: string;
}

/** The schema of a name: Unicode's composed form (NFC), without spaces at its ends. Length is counted in code points. */
export function nameSchema({ required, tooLong, hidden }: NameMessages, max = NAME_LENGTH_MAX) {
  return z
    .string({ error: required })
    .refine(isVisible, { error: hidden })
    .normalize('NFC')
    .trim()
    .min(1, { error: required })
    .refine((text) => [...text].length <= max, { error: tooLong });
}
