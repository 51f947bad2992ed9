/** The form of an answer of OpenAI's Responses API: the request's fields that it repeats, and what else the request decides. */
import { SEALED_THOUGHT } from '../../../gpu-pool/answers/sealed-thought.ts';
import type { ResponsesFormat, ToolForm } from '../../../gpu-pool/protocol/answer-format.ts';
import type { AnswerForm } from './dialect.ts';
import type { ResponsesFields } from './openai-responses-request.ts';
import type { DeclaredTools } from './tools/declared.ts';
import { shownTool } from './tools/responses-tools.ts';

export function responsesForm(fields: ResponsesFields, { forms }: DeclaredTools): AnswerForm {
  const { reasoning, include } = fields;
  const asksSummary = (reasoning?.summary ?? reasoning?.generate_summary ?? null) !== null;
  const toolForms = toolFormsOf(forms);
  return {
    dialect: 'responses',
    repeated: repeatedFields(fields),
    ...(toolForms.length > 0 && { tool_forms: toolForms }),
    ...(!asksSummary && { streams_thought: true as const }),
    ...(include?.includes(SEALED_THOUGHT) && { encrypted_thought: true as const }),
  };
}

function repeatedFields(fields: ResponsesFields): ResponsesFormat['repeated'] {
  return {
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    metadata: fields.metadata ?? {},
    parallel_tool_calls: fields.parallel_tool_calls ?? true,
    reasoning: { effort: fields.reasoning?.effort ?? null, summary: fields.reasoning?.summary ?? null },
    temperature: fields.temperature ?? null,
    text: { format: fields.text?.format ?? { type: 'text' } },
    tool_choice: fields.tool_choice ?? 'auto',
    tools: (fields.tools ?? []).flatMap((tool) => shownTool(tool) ?? []) as Record<string, unknown>[],
    top_p: fields.top_p ?? null,
  };
}

/** The tools that client and model know in different forms. */
function toolFormsOf(forms: DeclaredTools['forms']): ToolForm[] {
  return [...forms].flatMap(([called, { kind, name, namespace }]) =>
    kind === 'function' && namespace === undefined && name === called
      ? []
      : [{ called, kind, name, ...(namespace !== undefined && { namespace }) }],
  );
}
