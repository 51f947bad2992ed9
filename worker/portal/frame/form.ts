/** Reads HTML forms: keeps what was typed, and gives each wrong field one fault. */
import * as z from 'zod';
import { type NumberMarks, readDecimal } from '../../domain/decimal-text.ts';
import { parseUsd } from '../../domain/money.ts';
import { nameSchema } from '../../domain/name.ts';
import type { Fault } from '../../i18n/en/index.ts';
import { NUMBER_MARKS } from '../../i18n/formats.ts';
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from '../../identity/auth.ts';
import type { PortalContext } from './context.ts';

/** The fields of a form as they were typed, by name. */
export type Typed = Readonly<Record<string, string>>;
/** The fault of each wrong field, by name; a key of the dictionary's `faults`. */
export type Faults = Readonly<Record<string, Fault | undefined>>;

export type FormResult<Values> =
  | { ok: true; values: Values; typed: Typed }
  | { ok: false; typed: Typed; faults: Faults };

/** A form's schema; one with numbers is a function of the marks by which the page's language writes them. */
export type FormSchema<Schema extends z.ZodType> = Schema | ((marks: NumberMarks) => Schema);

/** Reads the form in the request's body. @param schema its messages are keys of the dictionary's `faults` */
export async function readForm<Schema extends z.ZodType>(
  c: PortalContext,
  schema: FormSchema<Schema>,
): Promise<FormResult<z.output<Schema>>> {
  return readFields(c, await typedFields(c), schema);
}

/** Reads fields that are at hand already, such as those of a query. */
export function readFields<Schema extends z.ZodType>(
  c: PortalContext,
  typed: Typed,
  schema: FormSchema<Schema>,
): FormResult<z.output<Schema>> {
  const read = typeof schema === 'function' ? schema(NUMBER_MARKS[c.get('locale')]) : schema;
  const result = read.safeParse(typed);
  if (result.success) return { ok: true, values: result.data, typed };
  const faults: Record<string, Fault> = {};
  for (const issue of result.error.issues) faults[String(issue.path[0])] ??= issue.message as Fault;
  return { ok: false, typed, faults };
}

/** Fields that hold a password. Every character of a password counts, so they are not trimmed. */
const PASSWORD_FIELDS = new Set(['password', 'current']);

/** Spaces and line ends around a text. Others that `trim` would remove are left, for the schema to refuse. */
const AROUND = /^[\p{Zs}\t\r\n]+|[\p{Zs}\t\r\n]+$/gu;

/** The text fields of the body, trimmed except for passwords. A field that is sent twice counts with its last value. */
export async function typedFields(c: PortalContext): Promise<Typed> {
  // a body that is no form reads as one without fields, so every required field is missing
  const body = await c.req.parseBody().catch(() => ({}));
  const entries = Object.entries(body).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(
    entries.map(([name, text]) => [name, PASSWORD_FIELDS.has(name) ? text : text.replace(AROUND, '')]),
  );
}

/** A message for a zod schema: a key of the dictionary's `faults`. */
export function fault(key: Fault) {
  return { error: key };
}

const NAME_FAULTS = {
  required: 'required',
  tooLong: 'too_long',
  hidden: 'unprintable',
} as const satisfies Record<string, Fault>;

/** A name that people give to a key or an account, or their own. */
export const Name = nameSchema(NAME_FAULTS);

/** One line of text of at most `max` characters, for an audit entry or the catalogue. */
export function Line(max: number) {
  return nameSchema(NAME_FAULTS, max);
}

export const Email = z.email(fault('email')).max(254, fault('email'));

export const NewPassword = z
  .string(fault('required'))
  .min(PASSWORD_LENGTH_MIN, fault('password_short'))
  // better-auth counts UTF-16 units, so this does, too
  .refine((password) => password.length <= PASSWORD_LENGTH_MAX, fault('password_long'));

/** A number as the page's language writes it, in canonical form: see readDecimal. Empty: empty. */
export function Decimal(marks: NumberMarks, message: Fault) {
  return z
    .string(fault(message))
    .transform((text) => (text === '' ? '' : readDecimal(text, marks)))
    .refine((text) => text !== null, fault(message))
    .transform((text) => text!);
}

/** US dollars with at most nine decimal places, as exact nano-USD. Empty: null. */
export function OptionalUsd(marks: NumberMarks) {
  return Decimal(marks, 'amount')
    .refine((text) => /^$|^\d{1,6}(\.\d{1,9})?$/.test(text), fault('amount'))
    .transform((text) => (text === '' ? null : parseUsd(text)));
}

/** US dollars as in OptionalUsd, and not empty. */
export function Usd(marks: NumberMarks) {
  return OptionalUsd(marks)
    .refine((amount) => amount !== null, fault('amount'))
    .transform((amount) => amount!);
}

/** A whole number within bounds. */
export function Whole(marks: NumberMarks, bounds: { min: number; max: number }) {
  return Decimal(marks, 'whole_number')
    .refine((text) => /^\d{1,9}$/.test(text), fault('whole_number'))
    .transform(Number)
    .refine((value) => bounds.min <= value && value <= bounds.max, fault('whole_number'));
}

/** A whole number within bounds; empty: null. */
export function OptionalWhole(marks: NumberMarks, bounds: { min: number; max: number }) {
  return z.union([z.literal('').transform(() => null), Whole(marks, bounds)], fault('whole_number'));
}

export function Choice<const Options extends readonly [string, ...string[]]>(options: Options) {
  return z.enum(options, fault('choice'));
}
