/** Facts and text of an invoice, independent of how it is drawn. */
import type { NanoUsd } from './money.ts';

/** The invoice number as printed: `TG-000042`. Six digits sort correctly as text for the first million. */
export function invoiceName(number: number): string {
  return `TG-${String(number).padStart(6, '0')}`;
}

/** The characters of PDF's standard fonts: Windows-1252, and line ends. */
const PDF_PRINTABLE = /^[\n\x20-\x7e\xa0-\xff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]*$/;

export function isPrintable(text: string): boolean {
  return PDF_PRINTABLE.test(text);
}

/**
 * Makes text printable that was never checked with `isPrintable`, such as old or imported text: characters that cannot be
 * printed become question marks, so the invoice does not fail. Spaces of other widths, like the narrow one between
 * thousands in French, become no-break spaces.
 */
export function printable(text: string): string {
  const spaced = text.normalize('NFC').replace(/[^\P{Zs} ]/gu, '\u00a0');
  return [...spaced].map((letter) => (isPrintable(letter) ? letter : '?')).join('');
}

export interface InvoiceFacts {
  readonly number: number;
  readonly issuedAtMs: number;
  /** Without the tax. */
  readonly amountNanoUsd: NanoUsd;
  readonly taxNanoUsd: NanoUsd;
  /** Lines of an address block. */
  readonly seller: readonly string[];
  /** Lines of an address block; empty: the account has named no buyer. */
  readonly buyer: readonly string[];
  readonly taxId: string | null;
  readonly purchaseOrder: string | null;
  readonly orderId: string;
}
