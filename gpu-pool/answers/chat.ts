/** Answers as OpenAI's and DeepSeek's chat completions: chunks of a stream, or one object assembled from the same chunks. */
import type { ChatFormat } from '../protocol/answer-format.ts';
import type { FinishReason, NodeChunk } from '../protocol/schemas.ts';
import { type CallStyle, callStyle, finishOf, needsStyle, StyledCalls, styledMember } from './chat-calls.ts';
import {
  type AnswerEnd,
  type PublicError,
  type StreamEnding,
  type StreamFormatter,
  sseEvent,
  type Tail,
  tollgateMember,
  type WholeFormatter,
} from './formatter.ts';
import { toPublicUsage } from './public-usage.ts';

type Choice = NodeChunk['choices'][number];

/** The members that every chunk of an answer repeats. */
function headOf({ head }: ChatFormat, object: string) {
  return {
    id: head.request_id,
    object,
    created: Math.floor(head.created_at_ms / 1_000),
    model: head.model,
    system_fingerprint: head.revision,
  };
}

/** The JSON of every chunk but the last, around its choices. */
function frameOf(format: ChatFormat): { prefix: string; suffix: string } {
  return {
    prefix: `${JSON.stringify(headOf(format, CHUNK)).slice(0, -1)},"choices":`,
    suffix: format.include_usage ? ',"usage":null}' : '}',
  };
}

const CHUNK = 'chat.completion.chunk';

export class ChatStream implements StreamFormatter {
  events = 0;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #unfinished: Set<number>;
  readonly #begun = new Set<number>();
  /** True once the node has sent a chunk, even one without anything for the client. */
  #isAnswering = false;
  /** The latest choice with a finish reason. It is held back, because DeepSeek's clients expect usage on the last one. */
  #heldBack: Choice | null = null;

  /** null: the node's calls are in the client's form. */
  readonly #calls: StyledCalls | null;

  constructor(format: ChatFormat) {
    const style = callStyle(format);
    this.#calls = needsStyle(style) ? new StyledCalls(style) : null;
    ({ prefix: this.#prefix, suffix: this.#suffix } = frameOf(format));
    this.#unfinished = new Set(Array.from({ length: format.choices }, (_, index) => index));
  }

  chunk(chunk: NodeChunk): string {
    this.#isAnswering = true;
    let text = '';
    for (const given of chunk.choices) {
      const choice = this.#calls?.take(given) ?? given;
      if (choice.finish_reason === null) {
        text += this.#textEvent(choice) ?? this.#event([this.#delta(choice)]);
        continue;
      }
      this.#unfinished.delete(choice.index);
      text += this.#flush();
      this.#heldBack = this.#delta(choice);
    }
    return text;
  }

  /** An empty delta of a choice that has not ended. The role stays with the first delta, which replays have. */
  alive(): string {
    const [index] = this.#unfinished;
    if (!this.#isAnswering || index === undefined) return '';
    return this.#event([{ index, delta: {}, finish_reason: null, logprobs: null }]);
  }

  /** Ends the choices that the engine has not. The last choice is the edge's to write, as its chunk may have usage. */
  close(): { text: string; tail: Tail } {
    let text = '';
    for (const index of this.#unfinished) {
      text += this.#flush();
      const cut: Choice = { index, delta: {}, finish_reason: 'length' };
      this.#heldBack = this.#delta(this.#calls?.take(cut) ?? cut);
    }
    return { text, tail: { choice: this.#heldBack } };
  }

  #flush(): string {
    const choice = this.#heldBack;
    this.#heldBack = null;
    return choice ? this.#event([choice]) : '';
  }

  /**
   * A fast `#event` for the most common case, plain text after the first delta of its choice.
   * @returns null for any other choice
   */
  #textEvent({ index, delta, logprobs }: Choice): string | null {
    const { content, reasoning_content: reasoning, tool_calls: calls } = delta;
    const isText = (content === undefined) !== (reasoning === undefined) && calls === undefined && !logprobs;
    if (!isText || !this.#begun.has(index)) return null;
    const json = JSON.stringify(content ?? reasoning);
    const member =
      content === undefined ? `"reasoning_content":${json},"reasoning":${json}` : `"content":${json}`;
    const choice = `{"index":${index},"delta":{${member}},"finish_reason":null,"logprobs":null}`;
    this.events += 1;
    return sseEvent(`${this.#prefix}[${choice}]${this.#suffix}`);
  }

  #event(choices: Choice[]): string {
    this.events += 1;
    return sseEvent(this.#prefix + JSON.stringify(choices) + this.#suffix);
  }

  /** Clients expect the role on a choice's first delta; DeepSeek's also expect `content` there, null while it reasons. */
  #delta({ index, delta: nodeDelta, finish_reason, logprobs: nodeLogprobs }: Choice): Choice {
    const logprobs = nodeLogprobs ? publicLogprobs(logprobContent(nodeLogprobs)) : null;
    const delta = { ...nodeDelta, ...bothReasoning(nodeDelta.reasoning_content) };
    if (this.#begun.has(index)) return { index, delta, finish_reason, logprobs };
    this.#begun.add(index);
    const role = { role: 'assistant', content: delta.reasoning_content === undefined ? '' : null };
    return { index, delta: { ...role, ...delta } as Choice['delta'], finish_reason, logprobs };
  }
}

export class ChatEnding implements StreamEnding {
  readonly #format: ChatFormat;

  constructor(format: ChatFormat) {
    this.#format = format;
  }

  end(end: AnswerEnd, { choice }: Tail): string {
    const choices = choice === null ? [] : [choice];
    const head = headOf(this.#format, CHUNK);
    const last = endOfChat(this.#format, end);
    const done = sseEvent('[DONE]');
    if (!this.#format.include_usage) return sseEvent(JSON.stringify({ ...head, choices, ...last })) + done;
    const { prefix, suffix } = frameOf(this.#format);
    const held = choice === null ? '' : sseEvent(prefix + JSON.stringify(choices) + suffix);
    return held + sseEvent(JSON.stringify({ ...head, choices: [], ...last })) + done;
  }

  failed(error: PublicError): string {
    return sseEvent(JSON.stringify({ error }));
  }
}

/** The members of a completion that only the edge knows. */
export function endOfChat({ head }: Pick<ChatFormat, 'head'>, { usage, chargeNanoUsd, ranOut }: AnswerEnd) {
  return { usage: toPublicUsage(usage, chargeNanoUsd), ...tollgateMember(head, ranOut) };
}

/**
 * A thought under both names that clients know: `reasoning_content` is DeepSeek's, `reasoning` OpenRouter's and vLLM's. Clients
 * that know both take the one or the other.
 */
function bothReasoning(reasoning: string | undefined) {
  return reasoning === undefined ? {} : { reasoning_content: reasoning, reasoning };
}

/** The per-token list of a node's logprobs. Engines send more members beside it, which are dropped. */
function logprobContent(logprobs: unknown): unknown[] {
  return (logprobs as { content?: unknown[] | null } | null | undefined)?.content ?? [];
}

/** OpenAI's clients require `refusal`, here as in a message. It is null, because these models have no refusal channel. */
function publicLogprobs(content: readonly unknown[]) {
  return content.length === 0 ? null : { content, refusal: null };
}

interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; arguments: string };
}

interface Message {
  content: string | null;
  reasoning: string | null;
  readonly toolCalls: ToolCall[];
  finishReason: FinishReason | null;
  logprobs: unknown[];
}

export class WholeChat implements WholeFormatter {
  readonly #head: ReturnType<typeof headOf>;
  readonly #messages: Message[];
  readonly #calls: CallStyle;

  constructor(format: ChatFormat) {
    this.#calls = callStyle(format);
    this.#head = headOf(format, 'chat.completion');
    this.#messages = Array.from({ length: format.choices }, () => ({
      content: null,
      reasoning: null,
      toolCalls: [],
      finishReason: null,
      logprobs: [],
    }));
  }

  chunk(chunk: NodeChunk): void {
    for (const { index, delta, finish_reason, logprobs } of chunk.choices) {
      const message = this.#messages[index];
      if (!message) continue;
      if (delta.content !== undefined) message.content = (message.content ?? '') + delta.content;
      if (delta.reasoning_content !== undefined)
        message.reasoning = (message.reasoning ?? '') + delta.reasoning_content;
      for (const call of delta.tool_calls ?? []) {
        const { id = '', function: called } = call;
        const toolCall: ToolCall = message.toolCalls[call.index] ?? {
          id,
          type: 'function',
          function: { name: called.name ?? '', arguments: '' },
        };
        message.toolCalls[call.index] = toolCall;
        toolCall.function.arguments += called.arguments ?? '';
      }
      if (finish_reason !== null) message.finishReason = finish_reason;
      message.logprobs.push(...logprobContent(logprobs));
    }
  }

  close() {
    return {
      ...this.#head,
      choices: this.#messages.map((message, index) => ({
        index,
        message: {
          role: 'assistant',
          content: message.content ?? (message.toolCalls.length > 0 ? null : ''),
          refusal: null,
          ...bothReasoning(message.reasoning ?? undefined),
          ...styledMember(this.#calls, message.toolCalls),
        },
        logprobs: publicLogprobs(message.logprobs),
        finish_reason: finishOf(message.finishReason ?? 'length', this.#calls.isLegacy),
      })),
    };
  }
}
