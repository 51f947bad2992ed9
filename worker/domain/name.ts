/** Rules for names that people give themselves and their keys, accounts and endpoints. */

export const NAME_LENGTH_MAX = 60;

/** Excludes control, bidirectional and invisible characters, which can make one name look like another. */
export const PRINTABLE = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]*$/u;
