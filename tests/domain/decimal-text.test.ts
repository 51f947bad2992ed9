/** Numbers that people write: read by the marks of the page's language, or refused, and never as another number. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readDecimal } from '../../worker/domain/decimal-text.ts';
import { NUMBER_MARKS } from '../../worker/i18n/formats.ts';
import { LOCALES, type Locale } from '../../worker/i18n/locale.ts';

const REGIONS: Record<Locale, readonly string[]> = {
  en: ['en-US', 'en-GB'],
  // Canadian French and French of France group by spaces of different widths.
  fr: ['fr-FR', 'fr-CA'],
};

function read(locale: Locale, text: string): string | null {
  return readDecimal(text, NUMBER_MARKS[locale]);
}

it.each<[text: string, en: string | null, fr: string | null]>([
  ['5000', '5000', '5000'],
  ['5,000', '5000', '5.000'],
  ['5.000', '5.000', null],
  ['5 000', '5000', '5000'],
  ['5\u00a0000,50', null, '5000.50'],
  ['5\u202f000,50 $', null, '5000.50'],
  ['$5,000.00', '5000.00', null],
  ['$5,000', '5000', null],
  ['US$ 5,000', '5000', null],
  ['5.000 $', null, null],
  ['5.000$US', null, null],
  ['$5.000', '5.000', null],
  ['5,000 $', '5000', '5.000'],
  ['$5,00', null, '5.00'],
  ['5.00 $', '5.00', '5.00'],
  ['$5 USD', null, null],
  ['US$1,234,567.5', '1234567.5', null],
  ['1\u202f234\u202f567,5 $US', null, '1234567.5'],
  ['20 USD', '20', '20'],
  ['12.50', '12.50', '12.50'],
  ['12,50', null, '12.50'],
  ['0.125', '0.125', '0.125'],
  ['0,125', null, '0.125'],
  ['5,00,000', null, null],
  ['50,00', null, '50.00'],
  ['1,2345', null, '1.2345'],
  ['1.234.567', null, null],
  ['1,234 567', null, null],
  ['1.234,50', null, null],
  ["5'000", null, null],
  ['5.', null, null],
  ['.5', null, null],
  ['-5', null, null],
  ['+5', null, null],
  ['5e3', null, null],
  ['0x10', null, null],
  ['٥٠', null, null],
  ['５０', null, null],
  ['5-000', null, null],
  ['5 $ 000', null, null],
  ['$', null, null],
  ['', null, null],
])('reads %j as %j in English and as %j in French', (text, en, fr) => {
  expect([read('en', text), read('fr', text)]).toEqual([en, fr]);
});

it('reads back every amount that the pages print, and no other', () => {
  const amounts = fc.tuple(fc.integer({ min: 0, max: 999_999 }), fc.integer({ min: 0, max: 999_999_999 }));
  fc.assert(
    fc.property(
      amounts,
      fc.constantFrom(...LOCALES),
      fc.integer({ min: 2, max: 9 }),
      ([whole, nano], locale, places) => {
        const text = `${whole}.${String(nano).padStart(9, '0').slice(0, places)}`;
        for (const region of REGIONS[locale])
          for (const style of ['decimal', 'currency'] as const) {
            const format = new Intl.NumberFormat(region, {
              style,
              currency: 'USD',
              currencyDisplay: 'narrowSymbol',
              minimumFractionDigits: places,
              maximumFractionDigits: places,
            });
            const printed = format.format(text as Intl.StringNumericLiteral);
            expect(read(locale, printed), printed).toBe(text);
            // A page of the other language reads the same or refuses; only three digits after a mark are a number in both.
            const other = LOCALES.find((each) => each !== locale)!;
            const elsewhere = read(other, printed);
            if (elsewhere !== null && places !== 3) expect(Number(elsewhere), printed).toBe(Number(text));
          }
      },
    ),
  );
});
