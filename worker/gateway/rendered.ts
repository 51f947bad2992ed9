/**
 * The part of step 2 that needs the model: the fields that its chat template renders are made fit for it, serialized and
 * measured, in one pass over what may be 4 MiB.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import { wellFormedJson, withObjectArguments } from '../domain/engine-text.ts';
import { utf8Length } from '../domain/grammar.ts';
import { templateBytes } from '../domain/template-bytes.ts';
import { breakTokens, keepsReasoning, plainMessage, type TemplateRules } from '../domain/template-tokens.ts';
import { joinNames } from '../domain/unread-fields.ts';
import { type ChatRequest, type ModelRequest, RENDERED, type Rendered } from './dialects/chat-request.ts';

/** The request as the model takes it: rendered by its template's rules, and sampled as its makers advise. */
export function forModel(
  request: ChatRequest,
  { profile, template }: { profile: ModelProfile; template: TemplateRules },
): ModelRequest {
  const { temperature, top_p } = request.generate;
  const generate = {
    ...request.generate,
    temperature: temperature ?? profile.sampling.temperature,
    top_p: top_p ?? profile.sampling.top_p,
  };
  const ignored = dropsThoughts(request, template)
    ? joinNames(request.ignored, [request.thoughtField])
    : request.ignored;
  return { ...request, generate, ignored, ...rendered(generate, template) };
}

/** Whether the client has sent thoughts of earlier answers that the model must not see. */
function dropsThoughts({ generate: { messages = [], tools = [] } }: ChatRequest, template: TemplateRules) {
  if (keepsReasoning(template, tools.length > 0)) return false;
  return messages.some((message) => message.role === 'assistant' && Boolean(message.reasoning_content));
}

/**
 * Serializes the fields of a request that `contentBytes` counts. They may be long, so they are serialized once, measured, and
 * sent to the node as they are. What a chat template renders loses its control tokens; a prompt without a template is the
 * client's own, template and all, and stop sequences are compared with the answer only.
 */
export function rendered(
  generate: Pick<GenerateRequest, (typeof RENDERED)[number]>,
  template: TemplateRules,
): Rendered {
  const { messages, prompt, tools, response_format, stop } = generate;
  const hasTools = (tools?.length ?? 0) > 0;
  const plain = messages?.map((message) => plainMessage(withObjectArguments(message), template, hasTools));
  const templated = (value: object | undefined) => {
    const json = serialized(value);
    return json && breakTokens(json, template);
  };
  const texts: Record<(typeof RENDERED)[number], string | undefined> = {
    messages: templated(plain),
    prompt: serialized(prompt),
    tools: templated(tools),
    response_format: templated(response_format),
    stop: serialized(stop),
  };
  const members = RENDERED.flatMap((name) =>
    texts[name] === undefined ? [] : [[name, texts[name]] as const],
  );
  return {
    rendered: members.map(([name, text]) => `"${name}":${text}`).join(','),
    contentBytes: members.reduce((bytes, [, text]) => bytes + utf8Length(text), 0),
    templateBytes: templateBytes(
      plain ?? [],
      { count: tools?.length ?? 0, json: texts.tools ?? '' },
      template.bytes,
    ),
  };
}

function serialized(value: object | string | undefined): string | undefined {
  return value === undefined ? undefined : wellFormedJson(JSON.stringify(value));
}
