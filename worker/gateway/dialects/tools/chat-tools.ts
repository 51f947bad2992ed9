/** Tools of OpenAI's chat completions: functions, free-form tools, and the `functions` that came before `tools`. */
import * as z from 'zod';
import { ToolName, ToolSchema, toolList } from '../fields.ts';
import type { Declaration } from './declared.ts';
import { knownOrSetAside, knownTools, setAsideTool } from './set-aside.ts';
import type { Choice } from './tool-choice.ts';

const Description = z.string().nullish();
const FunctionDefinition = z.object({
  name: ToolName,
  description: Description,
  parameters: ToolSchema.nullish(),
  strict: z.boolean().nullish(),
});
const FunctionTool = z.object({ type: z.literal('function'), function: FunctionDefinition });
const Grammar = z.object({ syntax: z.string().nullish(), definition: z.string().nullish() });
const CustomTool = z.object({
  type: z.literal('custom'),
  custom: z.object({
    name: ToolName,
    description: Description,
    format: z.object({ type: z.string(), grammar: Grammar.nullish() }).nullish(),
  }),
});

const KNOWN = ['function', 'custom'];
const isKnown = (type: string) => KNOWN.includes(type);
const Tool = knownOrSetAside(
  isKnown,
  z.discriminatedUnion('type', [FunctionTool, CustomTool, setAsideTool({ enum: KNOWN })], {
    error: 'must be a tool with a type, such as "function" or "custom"',
  }),
);
export const ChatTools = toolList(Tool, (tool) => {
  if (tool.type === 'custom') return [{ schema: undefined, strict: false, at: [] }];
  if (tool.type === 'set_aside') return [];
  const { parameters, strict } = tool.function;
  return [{ schema: parameters, strict: strict ?? false, at: ['function', 'parameters'] }];
});
/** OpenAI's deprecated field, which the libraries of that time still send. */
export const Functions = toolList(FunctionDefinition.omit({ strict: true }), ({ parameters }) => [
  { schema: parameters, strict: false, at: ['parameters'] },
]);

const FunctionChoice = z.object({ type: z.literal('function'), function: z.object({ name: ToolName }) });
const CustomChoice = z.object({ type: z.literal('custom'), custom: z.object({ name: ToolName }) });
const AllowedTool = z.object({
  type: z.string(),
  function: z.object({ name: z.string() }).nullish(),
  custom: z.object({ name: z.string() }).nullish(),
});
const AllowedChoice = z.object({
  type: z.literal('allowed_tools'),
  allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: z.array(AllowedTool) }),
});
export const ChatToolChoice = z.union(
  [z.enum(['none', 'auto', 'required']), FunctionChoice, CustomChoice, AllowedChoice],
  {
    error:
      'must be "none", "auto", "required", {"type": "function", "function": {"name": "…"}}, or the like with "custom" or "allowed_tools"',
  },
);
export const FunctionCallChoice = z.union([z.enum(['none', 'auto']), z.object({ name: ToolName })], {
  error: 'must be "none", "auto" or {"name": "…"}',
});

/** The declarations of an unvalidated body that are read, without those that are set aside. */
export function knownChatTools(tools: unknown): unknown {
  return knownTools(tools, isKnown);
}

export function chatDeclarations(tools: z.infer<typeof ChatTools>): Declaration[] {
  return tools.map((tool) => {
    if (tool.type === 'set_aside') return { setAside: tool.of, name: tool.name, path: 'tools[].' };
    if (tool.type === 'function') return { kind: 'function', ...tool.function };
    const { format, ...rest } = tool.custom;
    return { kind: 'custom', ...rest, format: format && { type: format.type, ...format.grammar } };
  });
}

export function chatChoice(choice: z.infer<typeof ChatToolChoice> | null | undefined): Choice | undefined {
  if (typeof choice !== 'object' || choice === null) return choice ?? undefined;
  switch (choice.type) {
    case 'function':
      return { tool: choice.function };
    case 'custom':
      return { tool: choice.custom };
    case 'allowed_tools': {
      const { mode, tools } = choice.allowed_tools;
      return { mode, allowed: tools.flatMap((tool) => tool.function ?? tool.custom ?? []) };
    }
  }
}
