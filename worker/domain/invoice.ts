/** What is printed on an invoice, whatever draws it. */
import type { NanoUsd } from './money.ts';

/** As it is printed: `TG-000042`. Six digits sort as text for the first million. */
export function invoiceName(number: number): string {
  return `TG-${String(number).padStart(6, '0')}`;
}

/** What the letters of the standard fonts of PDF can print: Windows-1252, and line ends. */
const PRINTABLE = /^[\n\x20-\x7e\xa0-\xff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]*$/;

export function isPrintable(text: string): boolean {
  return PRINTABLE.test(text);
}

/**
 * Text that came from before or from elsewhere: what cannot be printed is a question mark, not a failed invoice. Spaces
 * of other widths, like the one between the thousands of French, are printed as one that does not break.
 */
export function printable(text: string): string {
  const spaced = text.normalize('NFC').replace(/[^\P{Zs} ]/gu, '\u00a0');
  return [...spaced].map((letter) => (isPrintable(letter) ? letter : '?')).join('');
}

export interface InvoiceFacts {
  readonly number: number;
  readonly issuedAtMs: number;
  readonly amountNanoUsd: NanoUsd;
  /** lines of an address block */
  readonly seller: readonly string[];
  /** empty: nobody was named */
  readonly buyer: readonly string[];
  readonly taxId: string | null;
  readonly purchaseOrder: string | null;
  readonly orderId: string;
}
