/**
 * The canary's tasks: what is sold beside text, asked of a node once. A tool call must come as a call and not as text of the
 * answer, and a JSON answer must follow its schema. Both are forced by the request, so that neither depends on what the
 * model would like to answer.
 */
import type { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import { CANARY_REQUEST, type CanaryFault } from './canary.ts';
import type { CanaryText } from './canary-text.ts';
import { asModelWants, type CanaryModel } from './canary-thinking.ts';

/**
 * A reasoning model first thinks, for some hundred tokens where so little is asked. At ten tokens a second, the least that
 * the hardware gives, this many take under two minutes.
 */
const TASK_TOKENS_MAX = 1_024;

/** More than the prompt of any task has, tools and template included: all of it is less than a thousand bytes. */
export const TASK_PROMPT_TOKENS_MAX = 2_048;

const TOOL = 'report_bird';

const SCHEMA = {
  type: 'object',
  properties: { species: { type: 'string' }, sings: { type: 'boolean' } },
  required: ['species', 'sings'],
  additionalProperties: false,
} as const;

const SHARED = {
  max_tokens: TASK_TOKENS_MAX,
  temperature: 0,
  cache_salt: CANARY_REQUEST.cache_salt,
} satisfies Partial<GenerateRequest>;

export interface CanaryTask {
  readonly request: GenerateRequest;
  /** Judges a complete answer; null: it is as it should be. */
  readonly faultIn: (answer: CanaryText) => CanaryFault | null;
}

const TOOL_TASK: CanaryTask = {
  request: {
    ...SHARED,
    messages: [
      { role: 'user', content: 'A canary sings. Report it with the tool, without further thought.' },
    ],
    tools: [
      {
        type: 'function',
        // The engine holds a call to JSON, and to the schema only where the tool is `strict`: `false` would be JSON, too.
        function: { name: TOOL, description: 'Reports a bird.', parameters: SCHEMA, strict: true },
      },
    ],
    tool_choice: { type: 'function', function: { name: TOOL } },
  },
  faultIn({ content, calls, isCut }) {
    const [call] = calls;
    if (isCut && content.trim() === '') return null;
    return call?.name === TOOL && parseObject(call.arguments) !== null ? null : 'no_tool_call';
  },
};

const JSON_TASK: CanaryTask = {
  request: {
    ...SHARED,
    messages: [
      { role: 'user', content: 'A canary sings. Describe the bird as JSON, without further thought.' },
    ],
    response_format: { type: 'json_schema', json_schema: { name: 'bird', schema: SCHEMA } },
  },
  faultIn({ content, isCut }) {
    // The start of a JSON text, or blanks, which JSON may have before it.
    if (isCut && /^\s*(\{|$)/.test(content)) return null;
    return followsSchema(content) ? null : 'not_json';
  },
};

/**
 * The tasks of a model, in the order in which they are asked.
 *
 * An answer that is cut off while it still thinks proves nothing, and does not fail: the agent has checked the engine's
 * parsers, and a model that thinks for long is no fault of its node. One that can leave it out is asked to.
 */
export function canaryTasks(model: Pick<CanaryModel, 'profile'>): readonly CanaryTask[] {
  const tasks = model.profile.parsers?.tools ? [TOOL_TASK, JSON_TASK] : [JSON_TASK];
  return tasks.map(({ request, faultIn }) => ({ request: asModelWants(request, model, false), faultIn }));
}

function followsSchema(text: string): boolean {
  const { species, sings, ...others } = parseObject(text) ?? {};
  return typeof species === 'string' && typeof sings === 'boolean' && Object.keys(others).length === 0;
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
