/** The parts of a request that is read which tests of tools look at. */
import type { DialectName } from '../../../worker/gateway/dialects/index.ts';
import { readBody, readDialectRequest } from '../dialect-request.ts';

/** The canonical request. */
export async function readRequest(name: DialectName, body: object) {
  return (await readDialectRequest(name, body)).request;
}

/** The error of a request that is refused. */
export async function readError(name: DialectName, body: object) {
  const read = await readBody(name, body);
  if (read.ok) throw new Error('the request was read');
  return read.error as { reason: string; param?: string; message?: string };
}

/** The names of the tools that the model is told of. */
export async function toolNames(name: DialectName, body: object): Promise<string[]> {
  const { generate } = await readRequest(name, body);
  return (generate.tools ?? []).map((tool) => tool.function.name);
}
