/** Amounts of US dollars in JSON bodies. They are strings, because JSON numbers are binary floating point in most readers. */
import * as z from 'zod';
import { parseUsd } from '../domain/money.ts';

/**
 * An amount such as `"20"` or `"0.000000001"`: no sign, no exponent, at most nine decimal places. Six digits before the point
 * keep it below 2⁵³ nano-USD.
 */
export const UsdText = z
  .string({ error: 'must be a string of US dollars such as "20.00"' })
  .regex(
    /^\d{1,6}(\.\d{1,9})?$/,
    'must be a string of US dollars such as "20.00", with at most nine decimal places',
  )
  .transform(parseUsd);
