/**
 * Decimal numbers as people write them. The same characters mean different amounts in different languages: `5,000` is five
 * thousand in English and five in French. A text is therefore read by the marks of the page's language, and refused where
 * those leave a doubt.
 */

/** The marks by which a language writes numbers. */
export interface NumberMarks {
  readonly decimal: '.' | ',';
  /** Characters that may stand between groups of three digits. Spaces of any width group in every language. */
  readonly groups: string;
}

const SPACES = ' \\u00a0\\u202f';
/** The dollar sign or its code, before or after the number, as the pages write it. */
const CURRENCY = /^(?:US\s?)?\$\s*|\s*(?:\$\s?(?:US)?|USD)$/u;
/** Where the other language puts its dollar sign, by the decimal mark of this one. */
const FOREIGN_SIGN = { '.': /\$\s?(?:US)?$/u, ',': /^(?:US\s?)?\$/u } as const;

/**
 * Reads a number without a sign or an exponent.
 * @returns its canonical form, with a point and without groups: `5 000,5` in French is `5000.5`; null: it is no number in
 * this language, or could be another one
 */
export function readDecimal(text: string, marks: NumberMarks): string | null {
  const typed = text.trim();
  const number = typed.replace(CURRENCY, '');
  const parts = new RegExp(
    `^([1-9]\\d{0,2}([${SPACES}${marks.groups}])\\d{3}(?:\\2\\d{3})*|\\d+)(?:([.,])(\\d+))?$`,
    'u',
  ).exec(number);
  if (parts === null) return null;
  const [, whole, group, mark, fraction = ''] = parts;
  if (
    mark !== undefined &&
    mark !== marks.decimal &&
    !isForeignDecimal({ whole: whole!, group, mark, fraction }, marks)
  )
    return null;
  // `$5,000` on a French page is five thousand to whoever puts the sign there, and so is `5.000 $` on an English one
  if (fraction.length === 3 && FOREIGN_SIGN[marks.decimal].test(typed)) return null;
  const digits = whole!.replace(/\D/gu, '');
  return mark === undefined ? digits : `${digits}.${fraction}`;
}

/**
 * Whether another language's decimal mark cannot be anything else: `12.50` on a French page, but not `5.000`, which is
 * five thousand to many; and no mark that groups digits in the page's own language.
 */
function isForeignDecimal(
  { whole, group, mark, fraction }: { whole: string; group?: string; mark: string; fraction: string },
  marks: NumberMarks,
): boolean {
  if (group !== undefined || marks.groups.includes(mark)) return false;
  return whole === '0' || fraction.length !== 3;
}
