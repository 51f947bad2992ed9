/** The check of a JSON Schema by what the engine takes; see keywords.ts. */
import { grammarFault } from './grammar.ts';
import { type SchemaFault, shapeFault } from './shape.ts';

export type { SchemaFault } from './shape.ts';

/**
 * The first thing for which the engine would refuse a schema; null: it takes it.
 * @param of `format`: of an answer; `strict tool`: one whose calls are held to it; `tool`: one whose calls are not
 */
export function schemaFault(schema: unknown, of: 'format' | 'strict tool' | 'tool'): SchemaFault | null {
  const tool = of !== 'format';
  return shapeFault(schema, { tool }) ?? (of === 'tool' ? null : grammarFault(schema, { tool }));
}
