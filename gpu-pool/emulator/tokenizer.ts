/**
 * A stand-in for DeepSeek's tokenizer and chat template: deterministic, about four characters a token, never
 * splitting a code point. Each token is at least one byte of its text, so a prompt never counts more tokens than
 * the UTF-8 bytes of its rendered text plus a few special tokens a message. Text that is written like a special token
 * becomes that token, wherever it stands.
 */
import { type CalledTool, callPieces, type PromptPiece, toolPieces } from './tool-prompt.ts';

/** DeepSeek's end-of-sentence token, and its id, which SGLang reports as `matched_stop`. */
export const EOS = '<｜end▁of▁sentence｜>';
export const EOS_ID = 1;
export const THINK = '<think>';
export const THINK_END = '</think>';

export interface PromptMessage {
  role: string;
  content?: string | Array<{ type?: string; text?: string }> | null;
  tool_calls?: CalledTool[] | null;
}

/**
 * A token is a special one, up to four letters or digits with the space that follows, two Han characters, a run of spaces, or one
 * other character.
 */
const TOKEN_PATTERN =
  /<(?:｜[^\s｜<>]+｜|\/?think|\|EOT\|)>|\p{Script=Han}{1,2}|[\p{L}\p{M}\p{N}_]{1,4} ?|\s{1,8}|\S/gu;

export const BOS = '<｜begin▁of▁sentence｜>';

/** Tokens without text. The others that look special are words of the vocabulary, and are written out. */
export const SILENT: ReadonlySet<string> = new Set([BOS, EOS, '<｜▁pad▁｜>']);

/** A token that is part of a character: its text, until the last part completes the character. */
export const PART_OF_A_CHARACTER = '\ufffd';

/** The tokens of a text, in order; joined they give the text back. */
export function tokenize(text: string): string[] {
  return text.match(TOKEN_PATTERN) ?? [];
}

export interface TemplateOptions {
  tools?: unknown[] | null;
  reasoning: boolean;
  /** See `toolPieces`. Left out, definitions are as long as they get. */
  toolsAsWritten?: boolean;
}

/**
 * The prompt tokens of a conversation. Earlier turns of a conversation render to the same tokens when turns follow, which
 * is what makes the prefix cache work.
 */
export function renderChat(messages: PromptMessage[], options: TemplateOptions): string[] {
  const tokens: string[] = [];
  for (const piece of promptPieces(messages, options)) {
    if ('special' in piece) tokens.push(piece.special);
    // This is not `push(...)`, because a long prompt has more tokens than a call may have arguments.
    else for (const token of tokenize(piece.text)) tokens.push(token);
  }
  return tokens;
}

/** A conversation as the chat template renders it. */
export function promptPieces(
  messages: PromptMessage[],
  { tools, reasoning, toolsAsWritten = false }: TemplateOptions,
): PromptPiece[] {
  return [
    { special: BOS },
    // R1's tool template puts the definitions in the system part, so they cost prompt tokens.
    ...(tools?.length ? toolPieces(tools, { asWritten: toolsAsWritten }) : []),
    ...messages.flatMap(messagePieces),
    { special: '<｜Assistant｜>' },
    ...(reasoning ? [{ special: '<think>' }, { text: '\n' }] : []),
  ];
}

function messagePieces({ role, content, tool_calls: calls }: PromptMessage): PromptPiece[] {
  const text = { text: contentText(content) };
  switch (role) {
    case 'system':
    case 'developer':
      return [text];
    case 'assistant':
      return [
        { special: '<｜Assistant｜>' },
        // The thought of an earlier answer is dropped, as DeepSeek's template does.
        { text: text.text.split(THINK_END).at(-1) ?? '' },
        ...(calls?.length ? callPieces(calls) : []),
        { special: EOS },
      ];
    case 'tool':
      return [{ special: '<｜tool▁output▁begin｜>' }, text, { special: '<｜tool▁output▁end｜>' }];
    default:
      return [{ special: '<｜User｜>' }, text];
  }
}

/** The text of a message; parts that are not text are left out. */
export function contentText(content: PromptMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join(' ');
}
