/** An error for the log. Drizzle puts a query's parameters into its message: e-mails, hashes, tokens. They stay out. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return 'not an Error';
  if (error.name === 'DrizzleQueryError' || error.message.startsWith('Failed query')) {
    return `query failed: ${error.cause instanceof Error ? error.cause.message : 'cause unknown'}`;
  }
  return `${error.name}: ${error.message}`;
}
