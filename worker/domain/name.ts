/** What people may call themselves and their things. */

export const NAME_LENGTH_MAX = 60;

/** No control characters, and none that turn the direction of text or take no room: they make one name look like another. */
export const PRINTABLE = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]*$/u;
