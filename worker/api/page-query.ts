/** Pagination in OpenAI's form: `limit`, and `after`, the last id of the previous page. */
import * as z from 'zod';

/** The query of a list. The default and the maximum of `limit` are OpenAI's. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().max(64).optional(),
});

/** One page of a list. @param rows one more than `limit` where a further page exists */
export function pageOf<Row extends { id: string }>(rows: readonly Row[], limit: number) {
  const data = rows.slice(0, limit);
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: rows.length > limit,
  };
}
