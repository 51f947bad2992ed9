/**
 * Amounts of US dollars in JSON bodies. They are strings, because JSON numbers are binary floating point in most readers.
 */
import * as z from 'zod';
import { parseUsd } from '../domain/money.ts';

/**
 * An amount such as `"20"` or `"0.000000001"`: no sign, no exponent, at most nine decimal places. Six digits before the
 * point keep it below 2⁵³ nano-USD.
 */
export const UsdText = usdDecimal(6, z.string({ error: 'must be a string of US dollars such as "20.00"' }));

/**
 * Parses a decimal of US dollars to nano-USD: no sign, no exponent, at most nine decimal places.
 * @param wholeDigitsMax digits before the point
 * @param text the schema of the text itself, with its own error for another type
 */
export function usdDecimal(wholeDigitsMax: number, text = z.string()) {
  return text
    .regex(
      new RegExp(`^\\d{1,${wholeDigitsMax}}(\\.\\d{1,9})?$`),
      'must be a string of US dollars such as "20.00", with at most nine decimal places',
    )
    .transform(parseUsd);
}

/** A decimal as text. An operator's script may also send a JSON number, which becomes the shortest decimal of it. */
export const DecimalText = z.union([z.string(), z.number().transform(String)]);
