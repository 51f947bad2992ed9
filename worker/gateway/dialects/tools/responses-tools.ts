/** Tools of OpenAI's Responses API: functions, free-form tools, namespaces of both, and hosted tools. */
import * as z from 'zod';
import { ToolName, ToolSchema, type ToolSchemaAt, toolList } from '../fields.ts';
import { type Declaration, TOOL_NAME_LENGTH_MAX } from './declared.ts';
import { knownOrSetAside, knownTools, setAsideTool } from './set-aside.ts';
import type { Choice } from './tool-choice.ts';

const ERROR = 'must be a tool with a type, such as "function", "custom" or "namespace"';
const Description = z.string().nullish();
const FunctionTool = z.object({
  type: z.literal('function'),
  name: ToolName,
  description: Description,
  parameters: ToolSchema.nullish(),
  strict: z.boolean().nullish(),
});
const CustomTool = z.object({
  type: z.literal('custom'),
  name: ToolName,
  description: Description,
  format: z
    .object({ type: z.string(), syntax: z.string().nullish(), definition: z.string().nullish() })
    .nullish(),
});
/** A name within a namespace, which is made fit for the model. */
const NamespacedName = z.string().min(1).max(TOOL_NAME_LENGTH_MAX);
const NAMESPACED = ['function', 'custom'];
const NamespacedTool = knownOrSetAside(
  (type) => NAMESPACED.includes(type),
  z.discriminatedUnion(
    'type',
    [
      FunctionTool.extend({ name: NamespacedName }),
      CustomTool.extend({ name: NamespacedName }),
      setAsideTool({ enum: NAMESPACED }),
    ],
    { error: ERROR },
  ),
);
const NamespaceTool = z.object({
  type: z.literal('namespace'),
  name: NamespacedName,
  description: Description,
  tools: z.array(NamespacedTool),
});

const KNOWN = [...NAMESPACED, 'namespace'];
const isKnown = (type: string) => KNOWN.includes(type);
const Tool = knownOrSetAside(
  isKnown,
  z.discriminatedUnion('type', [FunctionTool, CustomTool, NamespaceTool, setAsideTool({ enum: KNOWN })], {
    error: ERROR,
  }),
);
export type ResponsesTool = z.infer<typeof Tool>;

export const ResponsesTools = toolList(Tool, (tool) =>
  tool.type === 'namespace'
    ? tool.tools.flatMap((inner, index) => schemasOf(inner, ['tools', index]))
    : schemasOf(tool, []),
);

const Reference = { name: z.string().min(1), namespace: z.string().nullish() };
const FunctionChoice = z.object({ type: z.literal('function'), ...Reference });
const CustomChoice = z.object({ type: z.literal('custom'), ...Reference });
const AllowedChoice = z.object({
  type: z.literal('allowed_tools'),
  mode: z.enum(['auto', 'required']),
  tools: z.array(z.object({ type: z.string(), name: z.string().nullish(), namespace: z.string().nullish() })),
});
/** A choice of one of the kinds above that lacks something is no choice of a hosted tool. */
const NOT_A_CHOICE_OF_OURS = /^(?!(?:none|auto|required|function|custom|allowed_tools)$)/;
/** A tool that OpenAI runs, such as `{"type": "web_search_preview"}`: one that is always refused, but by its name. */
const HostedChoice = z.object({
  type: z.string().min(1).max(TOOL_NAME_LENGTH_MAX).regex(NOT_A_CHOICE_OF_OURS, { abort: true }),
});
export const ResponsesToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.discriminatedUnion('type', [FunctionChoice, CustomChoice, AllowedChoice]),
    HostedChoice,
  ],
  {
    error:
      'must be "none", "auto", "required", {"type": "function", "name": "…"}, or the like with "custom" or "allowed_tools"',
  },
);
type ToolChoice = z.infer<typeof ResponsesToolChoice>;

export function responsesChoice(choice: ToolChoice | null | undefined): Choice | undefined {
  if (typeof choice !== 'object' || choice === null) return choice ?? undefined;
  if ('mode' in choice) {
    const { mode, tools } = choice;
    // Hosted tools have no name, and are none of those that the model is told of.
    const allowed = tools.flatMap(({ name, namespace, type }) =>
      name && NAMESPACED.includes(type) ? [{ name, namespace }] : [],
    );
    return { mode, allowed };
  }
  return 'name' in choice ? { tool: choice } : { hosted: choice.type };
}

/** The declarations of an unvalidated body that are read, without those that are set aside. */
export function knownResponsesTools(tools: unknown): unknown {
  const known = knownTools(tools, isKnown);
  if (!Array.isArray(known)) return known;
  return known.map((tool) =>
    tool?.type === 'namespace'
      ? { ...tool, tools: knownTools(tool.tools, (type) => NAMESPACED.includes(type)) }
      : tool,
  );
}

export function responsesDeclarations(tools: readonly ResponsesTool[]): Declaration[] {
  return tools.flatMap((tool) => {
    if (tool.type !== 'namespace') return [declarationOf(tool)];
    const { name: namespace, description } = tool;
    return tool.tools.map((inner, index) => {
      const declaration = declarationOf(inner, namespace);
      if ('setAside' in declaration || index > 0 || !description) return declaration;
      // The model is told of a namespace with its first tool, once: a server's instructions may be long.
      const text = `[${namespace}: ${description}]`;
      return { ...declaration, description: [text, declaration.description].filter(Boolean).join('\n\n') };
    });
  });
}

/** The declaration as the response repeats it; null: it was set aside. */
export function shownTool(tool: ResponsesTool): object | null {
  switch (tool.type) {
    case 'set_aside':
      return null;
    case 'function':
      return { ...tool, parameters: tool.parameters ?? null, strict: tool.strict ?? null };
    case 'custom': {
      const { type, name, description, format } = tool;
      return { type, name, ...(description ? { description } : {}), ...(format ? { format } : {}) };
    }
    case 'namespace': {
      const { type, name, description, tools } = tool;
      return {
        type,
        name,
        description: description ?? '',
        tools: tools.flatMap((inner) => shownTool(inner) ?? []),
      };
    }
  }
}

function schemasOf(tool: ResponsesTool, at: readonly (string | number)[]): ToolSchemaAt[] {
  if (tool.type === 'custom') return [{ schema: undefined, strict: false, at }];
  if (tool.type !== 'function') return [];
  return [{ schema: tool.parameters, strict: tool.strict ?? false, at: [...at, 'parameters'] }];
}

function declarationOf(tool: Exclude<ResponsesTool, { type: 'namespace' }>, namespace?: string): Declaration {
  if (tool.type === 'set_aside')
    return {
      setAside: tool.of,
      name: tool.name,
      path: namespace === undefined ? 'tools[].' : 'tools[].tools[].',
    };
  const { type: kind, ...rest } = tool;
  return { kind, namespace, ...rest };
}
