/** Reads a request body as its dialect does, without an edge around it. */
import { type DialectName, dialects } from '../../../worker/gateway/dialects/index.ts';

const BODIES: Record<DialectName, object> = {
  openaiChat: { messages: [{ role: 'user', content: 'Hello' }] },
  openaiCompletions: { prompt: 'Hello' },
  openaiResponses: { input: 'Hello' },
  anthropicMessages: { max_tokens: 100, messages: [{ role: 'user', content: 'Hello' }] },
};

/** The canonical request. */
export async function readRequest(name: DialectName, body: object) {
  const read = await tryRead(name, body);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.dialectRequest.request;
}

/** The error of a request that is refused. */
export async function readError(name: DialectName, body: object) {
  const read = await tryRead(name, body);
  if (read.ok) throw new Error('the request was read');
  return read.error as { reason: string; param?: string; message?: string };
}

/** The names of the tools that the model is told of. */
export async function toolNames(name: DialectName, body: object): Promise<string[]> {
  const { generate } = await readRequest(name, body);
  return (generate.tools ?? []).map((tool) => tool.function.name);
}

async function tryRead(name: DialectName, body: object) {
  const dialect = await dialects[name]();
  return dialect.read({ model: 'm', ...BODIES[name], ...body }, new Headers());
}
