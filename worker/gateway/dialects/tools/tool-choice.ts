/** The part of a request that says which tools the model may or has to call, applied to those that it is told of. */

import type { GenerateRequest } from '../../../../gpu-pool/protocol/schemas.ts';
import { reportedName } from '../../../domain/unread-fields.ts';
import type { ApiError } from '../../../http/api-error.ts';
import { type DeclaredTools, modelName } from './declared.ts';

interface ToolReference {
  readonly name: string;
  readonly namespace?: string | null | undefined;
}

export type Choice =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly tool: ToolReference }
  /** Only these tools; with `required` the model has to call one of them. */
  | { readonly allowed: readonly ToolReference[]; readonly mode: 'auto' | 'required' }
  /** A tool that a provider runs, by its type. */
  | { readonly hosted: string };

export type ChosenTools =
  | { ok: true; tools: GenerateRequest['tools']; tool_choice: GenerateRequest['tool_choice'] }
  | { ok: false; error: ApiError };

/** The tools that the model is told of, and its choice among them; or the error of a choice that nothing can fulfil. */
export function chooseTools(declared: DeclaredTools, choice: Choice | undefined): ChosenTools {
  const { tools } = declared;
  if (choice === undefined || choice === 'none' || choice === 'auto')
    return { ok: true, tools, tool_choice: choice };
  if (choice === 'required') return required(declared, tools);
  if ('hosted' in choice) return refusal(namesSetAside(choice.hosted));
  if ('tool' in choice) {
    const { name, namespace } = choice.tool;
    const known = modelName(declared, name, namespace);
    if (!declared.forms.has(known) && declared.setAside.some((tool) => tool.name === name))
      return refusal(namesSetAside(name));
    return { ok: true, tools, tool_choice: { type: 'function', function: { name: known } } };
  }
  const allowed = new Set(choice.allowed.map(({ name, namespace }) => modelName(declared, name, namespace)));
  const missing = [...allowed].find((name) => !declared.forms.has(name));
  if (missing !== undefined)
    return refusal(
      `\`tool_choice\` allows ${reportedName(missing)}, which is not in \`tools\`. Add that tool, or leave it out.`,
    );
  const left = tools?.filter((tool) => allowed.has(tool.function.name)) ?? [];
  if (choice.mode === 'required') return required(declared, left);
  return left.length > 0
    ? { ok: true, tools: left, tool_choice: 'auto' }
    : { ok: true, tools: undefined, tool_choice: undefined };
}

function required({ setAside }: DeclaredTools, tools: GenerateRequest['tools'] = []): ChosenTools {
  // A request that has no tools at all is refused where every dialect's is.
  if (tools.length > 0 || setAside.length === 0) return { ok: true, tools, tool_choice: 'required' };
  const types = [...new Set(setAside.map((tool) => reportedName(tool.setAside)))]
    .slice(0, NAMED_MAX)
    .join(', ');
  return refusal(
    `\`tool_choice\` requires a call, and no tool is left to call: this API runs no hosted tools and has set aside ${types}. Add a tool that your client runs, or leave \`tool_choice\` out.`,
  );
}

/** More names would make an error message unreadable. */
const NAMED_MAX = 3;

function namesSetAside(name: string): string {
  return `\`tool_choice\` names ${reportedName(name)}, which this API has set aside: it runs no hosted tools. Choose a tool that your client runs, or leave \`tool_choice\` out.`;
}

function refusal(message: string): ChosenTools {
  return { ok: false, error: { reason: 'invalid_field', param: 'tool_choice', message } };
}
