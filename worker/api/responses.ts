/** The stored responses of OpenAI's Responses API: retrieve, delete, and list what a response was made of. */
import * as z from 'zod';
import {
  itemsOf,
  readTurns,
  removeTurn,
  type StoredTurn,
  type WantedTurn,
} from '../gateway/stored-responses/read.ts';
import { scopeOf } from '../gateway/stored-responses/seal.ts';
import { isStoredResponseId } from '../gateway/stored-responses/stored-id.ts';
import type { ApiError } from '../http/api-error.ts';
import { readFields } from '../http/fields.ts';
import type { ApiContext } from '../http/response-headers.ts';
import { PageQuery, pageOf } from './page-query.ts';
import { respondWithError } from './respond-with-error.ts';

/** Fields that shape an answer which is not generated any more are taken and have no effect. */
export const ResponseQuery = z.object({
  stream: z
    .enum(['false'], {
      error:
        'must be false: only background responses can be streamed again, and there are none. Leave it out, and the whole response is returned',
    })
    .optional(),
});
export const InputItemsQuery = PageQuery.extend({
  order: z.enum(['asc', 'desc']).default('desc'),
});

export async function getResponse(c: ApiContext): Promise<Response> {
  const query = readFields(ResponseQuery, c.req.query(), new Headers());
  if (!query.ok) return respondWithError(c, query.error);
  const found = await stored(c, { sections: ['output', 'response'], chain: false });
  if (found === null) return respondWithError(c, notFound(c));
  const { response, output } = found.turns[0]!;
  return c.json({ ...response, output });
}

export async function deleteResponse(c: ApiContext): Promise<Response> {
  const id = idOf(c);
  const scope = scopeOf(c.get('principal'));
  const isRemoved = isStoredResponseId(id) && (await removeTurn(c.env, scope, id, Date.now()));
  return isRemoved ? c.json({ id, object: 'response', deleted: true }) : respondWithError(c, notFound(c));
}

/** The items that the response was made of: those of the turns before it, then its own. The newest come first, as OpenAI's do. */
export async function getInputItems(c: ApiContext): Promise<Response> {
  const query = readFields(InputItemsQuery, c.req.query(), new Headers());
  if (!query.ok) return respondWithError(c, query.error);
  const { order, limit, after } = query.fields;
  const found = await stored(c, { sections: ['input', 'output'], chain: true });
  if (found === null) return respondWithError(c, notFound(c));
  // The rest of a chain is listed, too, when its beginning is gone.
  const [own, ...before] = found.turns;
  const items = [...itemsOf(before), ...own!.input] as { id: string }[];
  if (order === 'desc') items.reverse();
  const at = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && at === 0) {
    const message = '`after` must be the id of an item of this list. Take `last_id` of the page before.';
    return respondWithError(c, { reason: 'invalid_field', param: 'after', message });
  }
  return c.json(pageOf(items.slice(at, at + limit + 1), limit));
}

/** Only background responses can be cancelled, and there are none; the words are OpenAI's. */
export async function cancelResponse(c: ApiContext): Promise<Response> {
  const found = await stored(c, { sections: ['response'], chain: false });
  if (found === null) return respondWithError(c, notFound(c));
  const message = 'Cannot cancel a synchronous response.';
  return respondWithError(c, { reason: 'invalid_field', param: null, message });
}

/** The response that the path names, and the turns before it; null: it is not stored for this caller. */
async function stored(
  c: ApiContext,
  wanted: Omit<WantedTurn, 'responseId'>,
): Promise<{ turns: readonly StoredTurn[] } | null> {
  const responseId = idOf(c);
  if (!isStoredResponseId(responseId)) return null;
  const scope = scopeOf(c.get('principal'));
  const [read] = await readTurns(c.env, scope, [{ ...wanted, responseId }], Date.now());
  return read!.turns.length > 0 ? read! : null;
}

function idOf(c: ApiContext): string {
  return c.req.param('id') ?? '';
}

function notFound(c: ApiContext): ApiError {
  return { reason: 'response_not_found', id: idOf(c) };
}
