/**
 * Reads the body of `/v1/chat/completions` as SGLang does: lenient with extra fields, strict with those it uses.
 */
import * as z from 'zod';
import { pythonFloat } from './python-json.ts';
import { parametersFault } from './schema-check.ts';
import type { PromptMessage } from './tokenizer.ts';

export interface ChatRequest {
  model: string;
  messages: PromptMessage[];
  /** The prompt of a text completion, which gets no chat template; null for a chat. */
  text: string | null;
  /** Infinity until the context length bounds it. */
  maxTokens: number;
  n: number;
  stop: string[];
  seed: number | null;
  /** At temperature 0 the likeliest token is taken, and no chance is left to a seed. */
  greedy: boolean;
  stream: boolean;
  includeUsage: boolean;
  continuousUsage: boolean;
  separateReasoning: boolean;
  streamReasoning: boolean;
  logprobs: boolean;
  topLogprobs: number;
  /** The text of the assistant's last message, which the answer goes on with; null: it begins anew. */
  continued: string | null;
  /** `chat_template_kwargs`. */
  templateVariables: Readonly<Record<string, unknown>>;
  /** Tokens of a thought (`custom_params.thinking_budget`); null: none. */
  thinkingBudget: number | null;
  rid: string | null;
  priority: number;
  /** Key of the prefix cache: salt and extra key, joined. */
  cacheKey: string;
  /** The prompt's tokens, in place of its messages. */
  inputIds: number[] | null;
  /** A grammar makes the model call a tool. */
  demandsCall: boolean;
  /** In whose format calls stay in the text, by a parser's name; null: the engine is told of the tools, and reads calls itself. */
  callMarkup: string | null;
  /** Tool definitions as sent, for the chat template. */
  rawTools: unknown[] | null;
  tools: Array<{ name: string; parameters: unknown }>;
  toolChoice: 'auto' | 'none' | 'required' | { name: string };
  responseFormat: { type: 'text' } | { type: 'json_object' } | { type: 'json_schema'; schema: unknown };
}

const tokenCount = z.int().nullish();
const number = z.number().nullish();

const Body = z.looseObject({
  model: z.string().default('default'),
  messages: z.array(
    z.looseObject({
      role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
      content: z
        .union([
          z.string(),
          z.array(z.looseObject({ type: z.string().optional(), text: z.string().optional() })),
        ])
        .nullish(),
      tool_calls: z
        .array(
          z.looseObject({
            function: z
              .looseObject({ name: z.string().optional(), arguments: z.string().optional() })
              .optional(),
          }),
        )
        .nullish(),
    }),
  ),
  max_tokens: tokenCount,
  max_completion_tokens: tokenCount,
  n: z.int().min(0).max(128).nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  seed: z.int().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({
      include_usage: z.boolean().nullish(),
      continuous_usage_stats: z.boolean().nullish(),
    })
    .nullish(),
  separate_reasoning: z.boolean().default(true),
  stream_reasoning: z.boolean().default(true),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).nullish(),
  // These are accepted and have no effect: the text depends on the seeds and the prompt alone, and 0 makes it greedy.
  temperature: number,
  top_p: number,
  presence_penalty: number,
  frequency_penalty: number,
  continue_final_message: z.boolean().default(false),
  input_ids: z.array(z.int()).nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  custom_params: z.looseObject({ thinking_budget: z.unknown().optional() }).nullish(),
  rid: z.string().nullish(),
  priority: z.int().nullish(),
  cache_salt: z.string().nullish(),
  extra_key: z.string().nullish(),
  tools: z
    .array(
      z.looseObject({ function: z.looseObject({ name: z.string(), parameters: z.unknown().optional() }) }),
    )
    .nullish(),
  tool_choice: z
    .union([
      z.enum(['auto', 'none', 'required']),
      z.looseObject({ function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  response_format: z
    .looseObject({
      type: z.enum(['text', 'json_object', 'json_schema', 'structural_tag']),
      json_schema: z.looseObject({ name: z.string(), schema: z.unknown().optional() }).nullish(),
    })
    .nullish(),
});

/** Either the request, or why it is refused and how SGLang types that error (all are 400). */
export type ParsedRequest =
  | { ok: true; request: ChatRequest }
  | { ok: false; type: 'Bad Request' | 'BadRequest' | 'BadRequestError'; message: string };

export function parseChatRequest(body: unknown): ParsedRequest {
  const parsed = Body.safeParse(body, { reportInput: true });
  // FastAPI's own validation and SGLang's checks name their type differently (http_server.py, serving_base.py).
  if (!parsed.success) return { ok: false, type: 'Bad Request', message: quoting(parsed.error) };
  const fields = parsed.data;
  const tools = fields.tools ?? [];
  const choice = fields.tool_choice ?? 'auto';
  const toolChoice = typeof choice === 'string' ? choice : { name: choice.function.name };
  const message = validationError(fields, toolChoice) ?? samplingError(fields);
  if (message) return { ok: false, type: 'BadRequestError', message };
  const fault = writtenCallsError(fields) ?? (fields.n === 0 ? 'range() arg 3 must not be zero' : null);
  if (fault) return { ok: false, type: 'BadRequest', message: fault };
  return {
    ok: true,
    request: {
      model: fields.model,
      ...lastMessage(fields),
      text: null,
      maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? Number.POSITIVE_INFINITY,
      n: fields.n ?? 1,
      stop: [fields.stop ?? []].flat().filter((stop) => stop !== ''),
      seed: fields.seed ?? null,
      greedy: fields.temperature === 0,
      stream: fields.stream ?? false,
      includeUsage: fields.stream_options?.include_usage ?? false,
      continuousUsage: fields.stream_options?.continuous_usage_stats ?? false,
      separateReasoning: fields.separate_reasoning,
      streamReasoning: fields.stream_reasoning,
      logprobs: fields.logprobs ?? false,
      topLogprobs: fields.top_logprobs ?? 0,
      templateVariables: fields.chat_template_kwargs ?? {},
      rid: fields.rid ?? null,
      priority: fields.priority ?? 0,
      // Each is a namespace of its own (mem_cache, `storage_namespace_seed`).
      cacheKey: JSON.stringify([fields.cache_salt ?? '', fields.extra_key ?? '']),
      inputIds: fields.input_ids ?? null,
      thinkingBudget: budgetOf(fields.custom_params?.thinking_budget),
      demandsCall: demandsCall(fields.response_format),
      callMarkup: null,
      // Where one is named, the prompt has no other (serving_chat.py, `_process_messages`).
      rawTools: toolChoice === 'none' ? null : tools.filter((tool) => isOffered(tool, toolChoice)),
      tools: tools.map((tool) => ({ name: tool.function.name, parameters: tool.function.parameters })),
      toolChoice,
      responseFormat: responseFormatOf(fields.response_format),
    },
  };
}

/** Anything but a whole number is ignored (grammar_manager.py, `_get_request_thinking_budget`). */
function budgetOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : null;
}

/**
 * An assistant's message at the end is either gone on with, or becomes one of the user's (serving_chat.py,
 * `_handle_last_assistant_message`).
 */
function lastMessage({ messages, continue_final_message: goesOn }: z.infer<typeof Body>) {
  const last = messages.at(-1);
  if (last?.role !== 'assistant' || typeof last.content !== 'string') return { messages, continued: null };
  const earlier = messages.slice(0, -1);
  if (goesOn) return { messages: earlier, continued: last.content };
  return { messages: [...earlier, { role: 'user', content: last.content }], continued: null };
}

/** FastAPI's message quotes every value that it refuses (http_server.py, `validation_exception_handler`). */
function quoting(error: z.ZodError): string {
  const errors = error.issues.map(({ path, message, input }) => ({
    loc: ['body', ...path],
    msg: message,
    input,
  }));
  return `${errors.length} validation errors: ${JSON.stringify(errors)}`;
}

const TextBody = z.looseObject({
  prompt: z.string(),
  max_tokens: z.int().positive().nullish(),
  logprobs: z.int().min(0).nullish(),
});

/**
 * Reads the body of `/v1/completions`. The fields that it shares with a chat are read as a chat of one user
 * message.
 */
export function parseTextRequest(body: unknown): ParsedRequest {
  const own = TextBody.safeParse(body, { reportInput: true });
  if (!own.success) return { ok: false, type: 'Bad Request', message: quoting(own.error) };
  const { prompt: text, logprobs, ...rest } = own.data;
  // This check is from serving_completions.py, `_validate_request`.
  if (text === '') return { ok: false, type: 'BadRequestError', message: 'Prompt cannot be empty' };
  const parsed = parseChatRequest({ ...rest, messages: [{ role: 'user', content: text }] });
  if (!parsed.ok) return parsed;
  const textFields = {
    text,
    logprobs: logprobs != null,
    topLogprobs: logprobs ?? 0,
    separateReasoning: false,
  };
  return { ok: true, request: { ...parsed.request, ...textFields } };
}

function isOffered(tool: { function: { name: string } }, choice: ChatRequest['toolChoice']): boolean {
  return typeof choice === 'string' || tool.function.name === choice.name;
}

/** The error of the checks in serving_chat.py, `_validate_request`; null where all pass. */
function validationError(fields: z.infer<typeof Body>, toolChoice: ChatRequest['toolChoice']): string | null {
  const tools = fields.tools ?? [];
  if (fields.messages.length === 0) return 'Messages cannot be empty.';
  if (toolChoice === 'required' && tools.length === 0) {
    return 'Tools cannot be empty if tool choice is set to required.';
  }
  if (typeof toolChoice === 'object' && !tools.some((tool) => tool.function.name === toolChoice.name)) {
    return `Tool '${toolChoice.name}' not found in tools list.`;
  }
  for (const [index, tool] of tools.entries()) {
    const fault = parametersFault(tool.function.parameters);
    if (fault) return `Tool ${index} function has invalid 'parameters' schema: ${fault}`;
  }
  if (fields.response_format?.type === 'json_schema' && fields.response_format.json_schema?.schema == null) {
    return 'schema_ is required for json_schema response format request.';
  }
  return null;
}

/** The refusal of calls that a chat template cannot render (serving_chat.py, `parse_tool_call_arguments`). */
function writtenCallsError(fields: z.infer<typeof Body>): string | null {
  const written = fields.messages.flatMap((message) => message.tool_calls ?? []);
  for (const { function: call } of written) {
    const parsed = parsedJson(call?.arguments ?? '{}');
    if (parsed === undefined) return 'Assistant tool call function.arguments must be valid JSON.';
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
      return 'Assistant tool call function.arguments must be a JSON object.';
  }
  return null;
}

/** The error of the checks in sampling_params.py, `verify`; null where all pass. */
function samplingError(fields: z.infer<typeof Body>): string | null {
  const { temperature, top_p: topP } = fields;
  if (temperature != null && temperature < 0)
    return `temperature must be a non-negative finite number, got ${pythonFloat(temperature)}.`;
  if (topP != null && !(topP > 0 && topP <= 1)) return `top_p must be in (0, 1], got ${pythonFloat(topP)}.`;
  for (const name of ['frequency_penalty', 'presence_penalty'] as const) {
    const penalty = fields[name];
    if (penalty != null && Math.abs(penalty) > 2)
      return `${name} must be in [-2, 2], got ${pythonFloat(penalty)}.`;
  }
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens ?? 0;
  return maxTokens < 0 ? `max_new_tokens must be at least 0, got ${maxTokens}.` : null;
}

/** Whether a grammar of calls leaves the model no other answer: `triggers` only shape the calls that it makes. */
function demandsCall(format: z.infer<typeof Body>['response_format']): boolean {
  if (format?.type !== 'structural_tag') return false;
  const { at_least_one: atLeastOne, format: native } = format as {
    at_least_one?: unknown;
    format?: { type?: unknown };
  };
  return native === undefined ? atLeastOne === true : native.type !== 'triggered_tags';
}

function responseFormatOf(format: z.infer<typeof Body>['response_format']): ChatRequest['responseFormat'] {
  if (format?.type === 'json_schema') return { type: 'json_schema', schema: format.json_schema?.schema };
  return { type: format?.type === 'json_object' ? 'json_object' : 'text' };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
