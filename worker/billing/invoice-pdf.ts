/** An invoice as PDF: one page of A4 in the standard fonts. The same facts give the same bytes. */
import { PDFDocument, type PDFFont, StandardFonts } from '@cantoo/pdf-lib';
import { type InvoiceFacts, invoiceName, printable } from '../domain/invoice.ts';

export interface InvoiceWords {
  readonly title: string;
  readonly number: string;
  readonly date: string;
  readonly from: string;
  readonly to: string;
  readonly taxId: string;
  readonly purchaseOrder: string;
  readonly item: string;
  readonly credit: string;
  readonly amount: string;
  readonly tax: string;
  readonly total: string;
  readonly paid: string;
  readonly order: string;
  /** Date and amounts as the language writes them. */
  readonly dateText: string;
  readonly amountText: string;
  readonly taxText: string;
  readonly totalText: string;
}

/** A4 in points; the origin is at the lower left. */
const [WIDTH, HEIGHT] = [595.28, 841.89];
const MARGIN = 56;
const RIGHT = WIDTH - MARGIN;
const COLUMN = MARGIN + 250;

/** Draws the invoice. @returns the file's bytes */
export async function invoicePdf(facts: InvoiceFacts, words: InvoiceWords): Promise<Uint8Array> {
  const name = invoiceName(facts.number);
  const issued = new Date(facts.issuedAtMs);
  const file = await PDFDocument.create();
  file.setTitle(`${words.title} ${name}`);
  file.setCreationDate(issued);
  file.setModificationDate(issued);
  const sheet = file.addPage([WIDTH, HEIGHT]);
  const [plain, bold] = await Promise.all([
    file.embedFont(StandardFonts.Helvetica),
    file.embedFont(StandardFonts.HelveticaBold),
  ]);
  const write = (text: string, x: number, y: number, { font = plain, size = 10 }: Style = {}) =>
    sheet.drawText(printable(text), { x, y, size, font });
  const writeRight = (text: string, y: number, style: Style = {}) => {
    const { font = plain, size = 10 } = style;
    write(text, RIGHT - font.widthOfTextAtSize(printable(text), size), y, style);
  };
  const block = (title: string, lines: readonly string[], x: number, top: number) => {
    write(title, x, top, { font: bold });
    for (const [index, line] of lines.entries()) write(line, x, top - 16 - index * 14);
  };
  const rule = (y: number) =>
    sheet.drawLine({ start: { x: MARGIN, y }, end: { x: RIGHT, y }, thickness: 0.6 });

  write('Tollgate', MARGIN, 770, { font: bold, size: 14 });
  write(words.title, MARGIN, 722, { font: bold, size: 24 });
  const about: [string, string][] = [
    [words.number, name],
    [words.date, words.dateText],
    [words.order, facts.orderId],
    ...(facts.purchaseOrder ? [[words.purchaseOrder, facts.purchaseOrder] as [string, string]] : []),
  ];
  for (const [index, [label, text]] of about.entries()) {
    write(label, MARGIN, 692 - index * 15, { font: bold });
    write(text, MARGIN + 120, 692 - index * 15);
  }
  const taxLine = facts.taxId ? [`${words.taxId} ${facts.taxId}`] : [];
  block(words.from, facts.seller, MARGIN, 610);
  if (facts.buyer.length > 0) block(words.to, [...facts.buyer, ...taxLine], COLUMN, 610);

  write(words.item, MARGIN, 470, { font: bold });
  writeRight(words.amount, 470, { font: bold });
  rule(462);
  write(words.credit, MARGIN, 444);
  writeRight(words.amountText, 444);
  if (facts.taxNanoUsd > 0) {
    write(words.tax, MARGIN, 424);
    writeRight(words.taxText, 424);
  }
  const end = facts.taxNanoUsd > 0 ? 412 : 432;
  rule(end);
  write(words.total, MARGIN, end - 20, { font: bold, size: 12 });
  writeRight(words.totalText, end - 20, { font: bold, size: 12 });
  write(words.paid, MARGIN, end - 48);
  return file.save();
}

interface Style {
  readonly font?: PDFFont;
  readonly size?: number;
}
