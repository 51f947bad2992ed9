/** Lists in pages, as OpenAI's clients turn them: `limit` and `after`, the id that the last page ended with. */
import * as z from 'zod';

/** OpenAI's default and bound. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().max(64).optional(),
});

/** @param rows one more than `limit` where there are more */
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
