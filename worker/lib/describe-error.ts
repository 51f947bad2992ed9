/**
 * Describes an error for the log, from parts that cannot hold what a client sent or a database returned: the error's
 * name, its code and status, SQLite's name for what went wrong, and the places in the code. Messages are left out:
 * drizzle's quote a query's parameters, D1's quote a value, fetch's quote a URL with its token.
 */

/** An error whose message was written for the log: fixed words, ids, codes and names of settings. It is logged whole. */
export class LoggableError extends Error {
  override readonly name: string = 'LoggableError';
}

/** A cause of a cause of a cause is as far as libraries wrap. The bound also ends a chain that is a circle. */
const CAUSES_MAX = 4;
/** The places that are logged: the throwing function and the callers that tell which of its uses it was. */
const FRAMES_MAX = 4;

/** @returns `name code 409 [D1_ERROR, UNIQUE constraint failed: person.email] at f (file:1:2) < cause` */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let each = error, depth = 0; each !== undefined && each !== null && depth < CAUSES_MAX; depth++) {
    parts.push(each instanceof Error ? describeOne(each) : `not an Error (${typeof each})`);
    each = each instanceof Error ? each.cause : undefined;
  }
  return parts.length === 0 ? 'not an Error' : parts.join(' < ');
}

function describeOne(error: Error): string {
  const name = wordOf(error.name) ?? 'Error';
  if (error instanceof LoggableError) return `${name}: ${error.message}`;
  const { code, status, statusCode } = error as { code?: unknown; status?: unknown; statusCode?: unknown };
  const facts = [wordOf(code), wordOf(status), wordOf(statusCode)].filter((fact) => fact !== null);
  const database = databaseFacts(error.message);
  const places = placesOf(error);
  return [
    [name, ...new Set(facts)].join(' '),
    ...(database.length > 0 ? [`[${database.join(', ')}]`] : []),
    ...(places.length > 0 ? [`at ${places.join(', ')}`] : []),
  ].join(' ');
}

/** A code or name: letters, digits, dots, dashes and underscores, with no room for a sentence or an address. */
function wordOf(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^[A-Za-z][A-Za-z_]{0,40}$|^[A-Z][A-Z0-9_]{0,40}$|^\d{3}$/.test(text)
    ? text
    : null;
}

/** D1's and SQLite's codes, and the column of a constraint: names of the schema, never a value. */
function databaseFacts(message: string): string[] {
  const first = /^(?:D1|SQLITE)_[A-Z]{3,20}(?:_[A-Z]{2,20})?(?=:)/.exec(message)?.[0];
  if (first === undefined) return [];
  const constraint = /^\w+: ([A-Z ]{3,20} constraint failed: [a-z_]{1,40}\.[a-z_]{1,40})(?=[:,]|$)/.exec(
    message,
  )?.[1];
  const last = /: (SQLITE_[A-Z]{2,20}(?:_[A-Z]{2,20})?)(?: \(extended: SQLITE_[A-Z_]{2,40}\))?$/.exec(
    message,
  )?.[1];
  return [first, constraint, last].filter((fact) => fact !== undefined);
}

/** Places of the stack. A message may have lines that look like places, so it is cut off before they are read. */
function placesOf({ message, stack = '' }: Error): string[] {
  const at = message === '' ? 0 : stack.indexOf(message);
  if (at < 0) return [];
  return stack
    .slice(at + message.length)
    .split('\n')
    .map((line) => /^\s+at (?:async )?(?:([\w.$<> ]{1,80}) \()?\S*?([\w.-]{1,60}:\d+:\d+)\)?$/.exec(line))
    .filter((match) => match !== null)
    .slice(0, FRAMES_MAX)
    .map(([, called, place]) => (called ? `${called} ${place}` : place!));
}
