/** Declarations of tools that nobody here runs: hosted tools, and those of a type that this API does not know. */
import * as z from 'zod';
import { anyOtherType } from './any-other-type.ts';
import { rawType } from './raw-type.ts';

/** The type that stands for every other; a client that writes it itself declares an unknown type like any other. */
const SET_ASIDE = 'set_aside';

/** @param known what the types are that are read, as a JSON Schema */
export const setAsideTool = (known: object) =>
  z
    .object({
      type: z.literal(SET_ASIDE),
      /** The type as the client wrote it. */
      of: z.string(),
      name: z.string().optional(),
    })
    .meta(
      anyOtherType(
        { not: known },
        'a tool of any other type, which is set aside and named in `tollgate.ignored`',
      ),
    );

/** A schema before which every declaration of another type becomes one that is set aside, of which nothing else is read. */
export const knownOrSetAside = <Tool extends z.ZodType>(isKnown: (type: string) => boolean, tool: Tool) =>
  z.preprocess((raw) => {
    if (!isSetAside(raw, isKnown)) return raw;
    const { type, name } = raw;
    return { type: SET_ASIDE, of: type, ...(typeof name === 'string' ? { name } : {}) };
  }, tool);

/** The declarations that are read, of a body that has not been validated. */
export function knownTools(tools: unknown, isKnown: (type: string) => boolean): unknown {
  return Array.isArray(tools) ? tools.filter((raw) => !isSetAside(raw, isKnown)) : tools;
}

function isSetAside(
  raw: unknown,
  isKnown: (type: string) => boolean,
): raw is { type: string; name?: unknown } {
  const type = rawType(raw);
  return type !== null && !isKnown(type);
}
