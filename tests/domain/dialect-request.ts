/** A request body as any dialect reads it, without an edge around it. */
import { type DialectName, dialects } from '../../worker/gateway/dialects/index.ts';

/** The fields that a body needs in each dialect, beside its model. */
const BODIES: Record<DialectName, object> = {
  openaiChat: { messages: [{ role: 'user', content: 'Hello' }] },
  openaiCompletions: { prompt: 'Hello' },
  openaiResponses: { input: 'Hello' },
  anthropicMessages: { max_tokens: 100, messages: [{ role: 'user', content: 'Hello' }] },
};

/** The request with the formatters of its answer, or its error. */
export async function readBody(name: DialectName, body: object) {
  const dialect = await dialects[name]();
  return dialect.read({ model: 'm', ...BODIES[name], ...body }, new Headers());
}

/** The same of a body that is no error. */
export async function readDialectRequest(name: DialectName, body: object) {
  const read = await readBody(name, body);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.dialectRequest;
}
