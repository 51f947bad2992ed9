/**
 * Conversations that are counted as they stand, behind an answer, such as a stored one. A request would be refused where it
 * ends so, and the engine would take the answer for a user's: the user's next turn, still empty, ends it. Beginnings of
 * answers, with which a request may end, stay what they are. Bodies are as clients sent them; the dialect refuses what is
 * malformed.
 */
type Body = Record<string, unknown>;

const NEXT_TURN = { role: 'user', content: '' };

export const endedChat = (body: Body) =>
  withNextTurn(body, 'messages', ({ role, prefix }) => role === 'assistant' && prefix !== true);

export const endedResponse = (body: Body) =>
  withNextTurn(
    body,
    'input',
    ({ role, type }) => role === 'assistant' || type === 'function_call' || type === 'custom_tool_call',
  );

export const endedMessages = (body: Body) =>
  withNextTurn(body, 'messages', (last) => last.role === 'assistant' && !isBegun(last.content, body));

function withNextTurn(body: Body, list: 'messages' | 'input', isAnswer: (last: Body) => boolean): Body {
  const items = body[list];
  const last: unknown = Array.isArray(items) ? items.at(-1) : undefined;
  if (!isObject(last) || !isAnswer(last)) return body;
  return { ...body, [list]: [...(items as unknown[]), NEXT_TURN] };
}

/** Whether an assistant's last message of Anthropic's can be gone on with. */
function isBegun(content: unknown, { thinking }: Body): boolean {
  if (isObject(thinking) && thinking.type !== 'disabled') return false;
  if (typeof content === 'string') return !/\s$/.test(content);
  if (!Array.isArray(content) || content.some((block) => isObject(block) && block.type === 'tool_use'))
    return false;
  const last: unknown = content.at(-1);
  return !isObject(last) || typeof last.text !== 'string' || !/\s$/.test(last.text);
}

function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
