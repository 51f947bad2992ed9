/**
 * Tools, and earlier calls of them, as SGLang renders them into a prompt: its tool_chat_template_deepseekr1.jinja over
 * the definitions as its protocol.py completes them.
 */
import { dumps, parsePython } from './python-json.ts';

/** A special token of the template, or text that is tokenized. */
export type PromptPiece = { special: string } | { text: string };

const CALLS_BEGIN = { special: '<｜tool▁calls▁begin｜>' };
const CALLS_END = { special: '<｜tool▁calls▁end｜>' };
const CALL_BEGIN = { special: '<｜tool▁call▁begin｜>' };
const CALL_END = { special: '<｜tool▁call▁end｜>' };
const SEPARATOR = { special: '<｜tool▁sep｜>' };

const INTRODUCTION: readonly PromptPiece[] = [
  {
    text: '\n\nYou are a helpful assistant with tool calling capabilities. When a tool call is needed, you MUST use the following format to issue the call:\n',
  },
  CALLS_BEGIN,
  CALL_BEGIN,
  { text: 'function' },
  SEPARATOR,
  { text: 'FUNCTION_NAME\n```json\n{"param1": "value1", "param2": "value2"}\n```' },
  CALL_END,
  CALLS_END,
  {
    text: '\n\nMake sure the JSON is valid.## Tools\n\n### Function\n\nYou have the following functions available:\n\n',
  },
];

/** @param asWritten definitions keep the client's order and lack what it left out, as from 0.5.23 on */
export function toolPieces(tools: readonly unknown[], { asWritten }: { asWritten: boolean }): PromptPiece[] {
  const definition = asWritten ? ordered : completed;
  return [
    ...INTRODUCTION,
    ...tools.map((tool) => ({ text: `\n\`\`\`json\n${dumps(definition(tool))}\n\`\`\`\n` })),
  ];
}

/** A tool with every field of SGLang's `Tool` and `Function`, and no other. */
function completed(tool: unknown) {
  const { type = 'function', function: definition = {} } = tool as {
    type?: string;
    function?: Record<string, unknown>;
  };
  const { description = null, name, parameters = null, strict = false } = definition;
  return { type, function: { description, name, parameters, strict: strict ?? false }, defer_loading: null };
}

/** A tool whose function has its fields in the client's order, and behind them those that are always there. */
function ordered(tool: unknown) {
  const { type = 'function', function: definition = {} } = tool as {
    type?: string;
    function?: Record<string, unknown>;
  };
  const known = Object.entries(definition).filter(
    ([name, value]) => KNOWN.includes(name) && (value != null || ALWAYS.includes(name)),
  );
  const missing = ALWAYS.filter((name) => !(name in definition)).map((name) => [name, null]);
  return { type, function: Object.fromEntries([...known, ...missing]), defer_loading: null };
}

const ALWAYS = ['description', 'name', 'parameters'];
const KNOWN = [...ALWAYS, 'strict', 'defer_loading'];

export interface CalledTool {
  function?: { name?: string; arguments?: string };
}

export function callPieces(calls: readonly CalledTool[]): PromptPiece[] {
  const each = calls.flatMap((call, index) => [
    ...(index === 0 ? [] : [{ text: '\n' }]),
    CALL_BEGIN,
    { text: 'function' },
    SEPARATOR,
    {
      text: `${call.function?.name ?? ''}\n\`\`\`json\n${rewritten(call.function?.arguments ?? '')}\n\`\`\``,
    },
    CALL_END,
  ]);
  return [CALLS_BEGIN, ...each, CALLS_END];
}

/** Arguments travel as a text of JSON; the engine parses them and writes them anew. */
function rewritten(argumentsJson: string): string {
  try {
    return dumps(parsePython(argumentsJson));
  } catch {
    return argumentsJson;
  }
}
