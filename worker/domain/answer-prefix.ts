/**
 * Conversations that end with a message of the assistant's. The model goes on with it where the client asks for that. An
 * engine that was sent it as any other message would take it for a user's, so it is refused where the client does not.
 */
import { hasThinkTags } from '../../gpu-pool/protocol/constants.ts';
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { AnswerPrefix, ChatMessage } from '../../gpu-pool/protocol/schemas.ts';

type AssistantMessage = Extract<ChatMessage, { role: 'assistant' }>;

/** How a dialect has a begun answer continued. */
export interface PrefixRules {
  /** The path of the last message, for errors. */
  readonly param: string;
  /** Null: the client has asked for it. Else the error that tells how to ask, or what to send instead. */
  readonly unasked: string | null;
  /** Whether messages of the assistant's in a row are one, as Anthropic has it. */
  readonly joins: boolean;
}

export type ConversationEnd =
  | { readonly ok: true; readonly messages: ChatMessage[]; readonly prefixField?: string }
  | { readonly ok: false; readonly param: string; readonly message: string };

/** The conversation with an assistant's last message as the beginning of the answer, or why it cannot be. */
export function withAnswerPrefix(messages: ChatMessage[], rules: PrefixRules): ConversationEnd {
  const { param, unasked, joins } = rules;
  const refused = (message: string) => ({ ok: false as const, param, message: `\`${param}\`: ${message}` });
  const last = messages.at(-1);
  if (last?.role !== 'assistant') return { ok: true, messages };
  if (last.tool_calls?.length)
    return refused('the last message has tool calls. Send a result for each behind it.');
  if (unasked !== null) return refused(unasked);
  let before = messages.slice(0, -1);
  let begun: AssistantMessage = last;
  for (let earlier = before.at(-1); earlier?.role === 'assistant'; earlier = before.at(-1)) {
    if (earlier.tool_calls?.length)
      return refused('the message before has tool calls. Send a result for each behind it.');
    if (!joins) return refused('the message before is an assistant’s, too. Join the two.');
    begun = joinedTurns(earlier, begun);
    before = before.slice(0, -1);
  }
  if (before.length === 0)
    return refused('there is no message that it answers. Begin with a message of the user’s.');
  const { content, reasoning_content: thought } = begun;
  if (!content && !thought) return { ok: true, messages: before };
  return { ok: true, messages: [...before, toPrefix(content, thought)], prefixField: param };
}

/** An empty text leaves the thought open. */
function toPrefix(content: string | null, thought: string | undefined): AnswerPrefix {
  return { role: 'answer_prefix', content: content || null, ...(thought && { reasoning_content: thought }) };
}

function joinedTurns(first: AssistantMessage, second: AssistantMessage): AssistantMessage {
  const thought = (first.reasoning_content ?? '') + (second.reasoning_content ?? '');
  const content = (first.content ?? '') + (second.content ?? '');
  return { role: 'assistant', content, ...(thought && { reasoning_content: thought }) };
}

/** The beginning of the answer; null: it begins anew. */
export function prefixOf(messages: readonly ChatMessage[] | undefined): AnswerPrefix | null {
  const last = messages?.at(-1);
  return last?.role === 'answer_prefix' ? last : null;
}

/** Whether a model can go on with a begun answer: it has no thoughts, or they stand between tags that the agent knows. */
export function continuesAnswers({ parsers }: Pick<ModelProfile, 'parsers'>): boolean {
  return hasThinkTags(parsers.reasoning);
}

const THINK = '<think>';
const THINK_END = '</think>';

/**
 * The beginning with the thought that it has in its text, as some clients write it: up to the last end tag, or all of it
 * behind a tag that nothing closes. Left in the text, the tags would be broken like any other control token.
 */
export function withOwnThought(prefix: AnswerPrefix): AnswerPrefix {
  const { content, reasoning_content: given } = prefix;
  if (content === null || given !== undefined) return prefix;
  const opened = content.trimStart().startsWith(THINK);
  const end = content.lastIndexOf(THINK_END);
  if (end < 0 && !opened) return prefix;
  const body = opened ? content.trimStart().slice(THINK.length) : content;
  if (end < 0) return { role: 'answer_prefix', content: null, reasoning_content: body };
  const at = body.lastIndexOf(THINK_END);
  const answer = body.slice(at + THINK_END.length);
  const thought = body.slice(0, at);
  // A closed thought with nothing behind it stays closed: the blanks are those that models write there.
  return { role: 'answer_prefix', content: answer || '\n\n', ...(thought && { reasoning_content: thought }) };
}
