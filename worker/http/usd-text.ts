/** Amounts of US dollars in bodies: strings, because JSON's numbers are not decimal. */
import * as z from 'zod';
import { parseUsd } from '../domain/money.ts';

/** `"20"` and `"0.000000001"`; no sign, no exponent, at most nine places. Less than 2⁵³ nano-USD. */
export const UsdText = z
  .string({ error: 'must be a string of US dollars such as "20.00"' })
  .regex(/^\d{1,6}(\.\d{1,9})?$/, 'must be a string of US dollars such as "20.00", with at most nine places')
  .transform(parseUsd);
