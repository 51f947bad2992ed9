/** OpenAI's and DeepSeek's chat answers: chunks of a stream, or one object put together from the same chunks. */
import type { FinishReason, NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import type { HoldBound } from '../../domain/hold.ts';
import { sseEvent } from '../../domain/sse.ts';
import { toPublicUsage } from '../../domain/usage.ts';
import type { ErrorEnvelope } from '../../http/api-error.ts';
import type { AnswerEnd, AnswerEvents, AnswerHead, WholeAnswer } from './dialect.ts';

type Choice = NodeChunk['choices'][number];

/** Why an answer was cut, as the client reads it beside `finish_reason: "length"`. */
function cutBy(ranOut: HoldBound | null) {
  return ranOut === null ? {} : { tollgate: { stop: ranOut } };
}

/** What every chunk of an answer repeats. */
function headOf({ requestId, createdAtMs, modelId, revision }: AnswerHead, object: string) {
  return {
    id: requestId,
    object,
    created: Math.floor(createdAtMs / 1_000),
    model: modelId,
    system_fingerprint: revision,
  };
}

export class ChatEvents implements AnswerEvents {
  readonly #head: ReturnType<typeof headOf>;
  /** what the JSON of every chunk but the last begins and ends with */
  readonly #before: string;
  readonly #after: string;
  readonly #includeUsage: boolean;
  readonly #unfinished: Set<number>;
  readonly #begun = new Set<number>();
  /** the last finish is held back: DeepSeek's clients look for usage on it */
  #heldBack: Choice | null = null;

  constructor(head: AnswerHead, options: { choices: number; includeUsage: boolean }) {
    this.#head = headOf(head, 'chat.completion.chunk');
    this.#before = `${JSON.stringify(this.#head).slice(0, -1)},"choices":`;
    this.#after = options.includeUsage ? ',"usage":null}' : '}';
    this.#includeUsage = options.includeUsage;
    this.#unfinished = new Set(Array.from({ length: options.choices }, (_, index) => index));
  }

  chunk(chunk: NodeChunk): string {
    let text = '';
    for (const choice of chunk.choices) {
      if (choice.finish_reason === null) {
        text += this.#piece(choice) ?? this.#event([this.#delta(choice)]);
        continue;
      }
      this.#unfinished.delete(choice.index);
      text += this.#flush();
      this.#heldBack = this.#delta(choice);
    }
    return text;
  }

  end({ usage, charge, ranOut }: AnswerEnd): string {
    let text = '';
    for (const index of this.#unfinished) {
      text += this.#flush();
      this.#heldBack = this.#delta({ index, delta: {}, finish_reason: 'length' });
    }
    const last = {
      usage: toPublicUsage(usage, charge),
      ...cutBy(ranOut),
    };
    if (this.#includeUsage) {
      text += this.#flush() + sseEvent(JSON.stringify({ ...this.#head, choices: [], ...last }));
    } else {
      text += sseEvent(
        JSON.stringify({ ...this.#head, choices: this.#heldBack ? [this.#heldBack] : [], ...last }),
      );
    }
    return text + sseEvent('[DONE]');
  }

  failed(error: ErrorEnvelope['error']): string {
    return sseEvent(JSON.stringify({ error }));
  }

  #flush(): string {
    const choice = this.#heldBack;
    this.#heldBack = null;
    return choice ? this.#event([choice]) : '';
  }

  /** `#event` of what nearly every event is: a piece of text, after the first of its choice. @returns null: something else */
  #piece({ index, delta, logprobs }: Choice): string | null {
    const { content, reasoning_content: reasoning, tool_calls: calls } = delta;
    const isText = (content === undefined) !== (reasoning === undefined) && calls === undefined && !logprobs;
    if (!isText || !this.#begun.has(index)) return null;
    const said =
      content === undefined
        ? `"reasoning_content":${JSON.stringify(reasoning)}`
        : `"content":${JSON.stringify(content)}`;
    const choice = `{"index":${index},"delta":{${said}},"finish_reason":null,"logprobs":null}`;
    return sseEvent(`${this.#before}[${choice}]${this.#after}`);
  }

  #event(choices: Choice[]): string {
    return sseEvent(this.#before + JSON.stringify(choices) + this.#after);
  }

  /** Clients want the role on a choice's first delta; DeepSeek's want `content` there, null while it reasons. */
  #delta({ index, delta, finish_reason, logprobs: said }: Choice): Choice {
    const logprobs = said ? publicLogprobs(logprobContent(said)) : null;
    if (this.#begun.has(index)) return { index, delta, finish_reason, logprobs };
    this.#begun.add(index);
    const role = { role: 'assistant', content: delta.reasoning_content === undefined ? '' : null };
    return { index, delta: { ...role, ...delta } as Choice['delta'], finish_reason, logprobs };
  }
}

/** Engines say more beside it. */
function logprobContent(logprobs: unknown): unknown[] {
  return (logprobs as { content?: unknown[] | null } | null | undefined)?.content ?? [];
}

/** `refusal` is not optional to OpenAI's clients, here as in a message; these models have no such channel. */
function publicLogprobs(content: readonly unknown[]) {
  return content.length === 0 ? null : { content, refusal: null };
}

interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { name: string; arguments: string };
}

interface Message {
  content: string | null;
  reasoning: string | null;
  /** by the engine's index, which may leave one out: a hole in a list would be a null to the client */
  readonly toolCalls: Map<number, ToolCall>;
  finishReason: FinishReason | null;
  logprobs: unknown[];
}

export class WholeChat implements WholeAnswer {
  readonly #head: ReturnType<typeof headOf>;
  readonly #messages: Message[];

  constructor(head: AnswerHead, options: { choices: number }) {
    this.#head = headOf(head, 'chat.completion');
    this.#messages = Array.from({ length: options.choices }, () => ({
      content: null,
      reasoning: null,
      toolCalls: new Map(),
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
        const known = message.toolCalls.get(call.index);
        const into: ToolCall = known ?? {
          id: call.id ?? '',
          type: 'function',
          function: { name: '', arguments: '' },
        };
        message.toolCalls.set(call.index, into);
        into.function.name += call.function.name ?? '';
        into.function.arguments += call.function.arguments ?? '';
      }
      if (finish_reason !== null) message.finishReason = finish_reason;
      message.logprobs.push(...logprobContent(logprobs));
    }
  }

  end({ usage, charge, ranOut }: AnswerEnd) {
    return {
      ...this.#head,
      choices: this.#messages.map((message, index) => ({
        index,
        message: {
          role: 'assistant',
          content: message.content ?? (message.toolCalls.size > 0 ? null : ''),
          refusal: null,
          ...(message.reasoning === null ? {} : { reasoning_content: message.reasoning }),
          ...(message.toolCalls.size === 0 ? {} : { tool_calls: [...message.toolCalls.values()] }),
        },
        logprobs: publicLogprobs(message.logprobs),
        finish_reason: message.finishReason ?? 'length',
      })),
      usage: toPublicUsage(usage, charge),
      ...cutBy(ranOut),
    };
  }
}
