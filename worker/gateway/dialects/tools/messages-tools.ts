/**
 * Tools of Anthropic's Messages API. Beside tools with a schema there are typed ones, which Claude knows without. Those that
 * a client runs on text alone are declared with the schema that Anthropic documents; those that Anthropic's servers run, and
 * those whose results are screenshots, are set aside.
 */
import * as z from 'zod';
import { TOOL_NAME, ToolName, ToolSchema, toolList } from '../fields.ts';
import type { Declaration } from './declared.ts';
import { rawType } from './raw-type.ts';
import { knownOrSetAside, knownTools, setAsideTool } from './set-aside.ts';
import type { Choice } from './tool-choice.ts';
import { TYPED_TOOL, typedTool } from './typed-tools.ts';

const ERROR = 'must be a tool whose type is absent, "custom", or that of a tool that Anthropic defines';
const CustomTool = z.object({
  type: z.literal('custom').nullish(),
  name: ToolName,
  description: z.string().nullish(),
  input_schema: ToolSchema,
  /** The model's calls always fit `input_schema`. */
  strict: z.boolean().nullish(),
});
const TypedTool = z.object({ type: z.literal('typed'), of: z.string(), name: ToolName }).meta({
  override: {
    type: 'object',
    properties: {
      type: { type: 'string', pattern: TYPED_TOOL.source },
      name: { type: 'string', pattern: TOOL_NAME.source },
    },
    required: ['type', 'name'],
    description: 'a tool of Anthropic’s that the client runs; the model gets its documented schema',
  },
});
const KNOWN = { anyOf: [{ const: 'custom' }, { pattern: TYPED_TOOL.source }] };

const isKnown = (type: string) => type === 'custom' || TYPED_TOOL.test(type);
const Tool = knownOrSetAside(
  isKnown,
  z.preprocess(
    (raw) => (isTyped(raw) ? { type: 'typed', of: raw.type, name: raw.name } : raw),
    z.discriminatedUnion('type', [CustomTool, TypedTool, setAsideTool(KNOWN)], { error: ERROR }),
  ),
);
type MessagesTool = z.infer<typeof Tool>;

/** Anthropic refuses two tools of one name; of those that are set aside it does not matter. */
export const MessagesTools = toolList(Tool, (tool) => {
  if (tool.type === 'set_aside' || tool.type === 'typed') return [];
  return [{ schema: tool.input_schema, strict: tool.strict ?? false, at: ['input_schema'] }];
}).superRefine((tools, context) => {
  const names = new Set<string | undefined>();
  for (const [index, tool] of tools.entries()) {
    if (tool.type === 'set_aside') continue;
    const path = [index, 'name'];
    if (names.has(tool.name))
      context.addIssue({ code: 'custom', message: 'must be unique among tools', path });
    names.add(tool.name);
  }
});

const OneAtATime = z.boolean().nullish();
export const MessagesToolChoice = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['auto', 'any']), disable_parallel_tool_use: OneAtATime }),
  z.object({ type: z.literal('none') }),
  z.object({ type: z.literal('tool'), name: ToolName, disable_parallel_tool_use: OneAtATime }),
]);

/** The declarations of an unvalidated body that are read, without those that are set aside. */
export function knownMessagesTools(tools: unknown): unknown {
  return knownTools(tools, isKnown);
}

export function messagesDeclarations(tools: readonly MessagesTool[]): Declaration[] {
  return tools.map((tool): Declaration => {
    if (tool.type === 'set_aside') return { setAside: tool.of, name: tool.name, path: 'tools[].' };
    const { name } = tool;
    if (tool.type === 'typed') return { kind: 'function', name, ...typedTool(tool.of) };
    const { description, input_schema: parameters, strict } = tool;
    return { kind: 'function', name, description, parameters, strict: strict || undefined };
  });
}

export function messagesChoice(
  choice: z.infer<typeof MessagesToolChoice> | null | undefined,
): Choice | undefined {
  if (!choice) return undefined;
  if (choice.type === 'tool') return { tool: choice };
  return choice.type === 'any' ? 'required' : choice.type;
}

function isTyped(raw: unknown): raw is { type: string; name?: unknown } {
  return TYPED_TOOL.test(rawType(raw) ?? '');
}
