/**
 * Logs are JSON lines on stderr. Fields are counts, ids and fixed strings: never a prompt, an answer or a token.
 */
export type Log = (event: string, fields?: Record<string, string | number | boolean | null>) => void;

export const logToStderr: Log = (event, fields = {}) => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
};
