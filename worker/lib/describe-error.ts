/**
 * Describes an error for the log. Drizzle's messages contain query parameters (e-mails, hashes, tokens), so only its
 * cause is logged.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return 'not an Error';
  if (error.name === 'DrizzleQueryError' || error.message.startsWith('Failed query')) {
    return `query failed: ${error.cause instanceof Error ? error.cause.message : 'cause unknown'}`;
  }
  return `${error.name}: ${error.message}`;
}
