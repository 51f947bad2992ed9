/**
 * Free text in e-mails. E-mail programs make links of whatever looks like an address, a domain, a path or a phone
 * number, and an e-mail of ours lends its sender's standing to every word in it; so a text that a customer chose keeps
 * letters, digits and a few signs, none of which a link can be made of.
 */

/** Enough for a company's name, too little for a message. In code points. */
const LENGTH_MAX = 60;

/** Everything but letters, digits, spaces and harmless signs: above all no dot, colon, slash or at sign in any script. */
const UNSAFE = /[^\p{L}\p{M}\p{N} &'’,–-]/gu;
/** Six digits in a row, however spaced, which a phone makes a number to call. */
const PHONE_NUMBER = /\p{N}(?:[ ,–-]*\p{N}){5,}/gu;

/** The text as an e-mail may show it; empty: nothing of it is left. */
export function emailSafe(text: string): string {
  // compatibility forms are resolved first: a full-width dot would pass for a letter's neighbour and become a dot later
  const plain = text.normalize('NFKC').replace(UNSAFE, ' ').replace(PHONE_NUMBER, ' ');
  return [...plain.replace(/\s+/gu, ' ').trim()].slice(0, LENGTH_MAX).join('').trim();
}
