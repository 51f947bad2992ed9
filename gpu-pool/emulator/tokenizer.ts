/**
 * A stand-in for DeepSeek's tokenizer and chat template: deterministic, about four characters a token, never
 * splitting a code point. Each token is at least one byte of its text, so a prompt never counts more tokens than
 * the UTF-8 bytes of its rendered text plus a few special tokens a message. Text that is written like a special token
 * becomes that token, wherever it stands.
 */

/** DeepSeek's end-of-sentence token, and its id, which SGLang reports as `matched_stop`. */
export const EOS = '<｜end▁of▁sentence｜>';
export const EOS_ID = 1;
export const THINK_END = '</think>';

export interface PromptMessage {
  role: string;
  content?: string | Array<{ type?: string; text?: string }> | null;
  tool_calls?: Array<{ function?: { name?: string; arguments?: string } }> | null;
}

/**
 * A token is a special one, up to four letters or digits with the space that follows, two Han characters, a run of spaces, or one
 * other character.
 */
const TOKEN_PATTERN =
  /<(?:｜[^\s｜<>]+｜|\/?think|\|EOT\|)>|\p{Script=Han}{1,2}|[\p{L}\p{M}\p{N}_]{1,4} ?|\s{1,8}|\S/gu;

export const BOS = '<｜begin▁of▁sentence｜>';

/** The tokens of a text, in order; joined they give the text back. */
export function tokenize(text: string): string[] {
  return text.match(TOKEN_PATTERN) ?? [];
}

/**
 * The prompt tokens of a conversation. Of an earlier answer the thought is dropped, as DeepSeek's template does. Earlier turns of a conversation render to the same tokens when turns follow, which is what
 * makes the prefix cache work.
 */
export function renderChat(
  messages: PromptMessage[],
  { tools, reasoning }: { tools?: unknown[] | null; reasoning: boolean },
): string[] {
  const tokens = [BOS];
  // R1's tool template puts the definitions in the system part, so they cost prompt tokens.
  if (tools?.length) append(tokens, '## Tools\n', JSON.stringify(tools));
  for (const message of messages) {
    const content = contentText(message.content);
    switch (message.role) {
      case 'system':
      case 'developer':
        append(tokens, content);
        break;
      case 'assistant':
        tokens.push('<｜Assistant｜>');
        append(tokens, content.split(THINK_END).at(-1) ?? '');
        for (const call of message.tool_calls ?? []) {
          tokens.push('<｜tool▁call▁begin｜>');
          append(tokens, call.function?.name ?? '', renderedAgain(call.function?.arguments ?? '{}'));
        }
        tokens.push(EOS);
        break;
      case 'tool':
        tokens.push('<｜tool▁output▁begin｜>');
        append(tokens, content);
        tokens.push('<｜tool▁output▁end｜>');
        break;
      default:
        tokens.push('<｜User｜>');
        append(tokens, content);
    }
  }
  tokens.push('<｜Assistant｜>');
  if (reasoning) tokens.push('<think>', '\n');
  return tokens;
}

/** The text of a message; parts that are not text are left out. */
export function contentText(content: PromptMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join(' ');
}

/** SGLang parses the arguments, and the template writes them again: escapes that JSON does not need are gone. */
function renderedAgain(args: string): string {
  try {
    return JSON.stringify(JSON.parse(args));
  } catch {
    return args;
  }
}

function append(tokens: string[], ...texts: string[]): void {
  // This is not `push(...)`, because a long prompt has more tokens than a call may have arguments.
  for (const text of texts) for (const token of tokenize(text)) tokens.push(token);
}
