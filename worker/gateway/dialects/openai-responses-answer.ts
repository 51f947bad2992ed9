/**
 * Answers as OpenAI's response object: items of reasoning, text and function calls, assembled from a node's chunks. In a
 * stream every step of the assembly is an event; otherwise only the finished object is sent.
 */
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { toPublicCost } from '../../domain/usage.ts';
import type { ErrorEnvelope } from '../../http/api-error.ts';
import {
  type AnswerEnd,
  type AnswerEvents,
  type AnswerHead,
  tollgateMember,
  type WholeAnswer,
} from './dialect.ts';
import type { ResponsesFields } from './openai-responses-request.ts';

type Status = 'in_progress' | 'completed' | 'incomplete';

interface ReasoningItem {
  readonly type: 'reasoning';
  readonly id: string;
  readonly summary: [];
  readonly content: { type: 'reasoning_text'; text: string }[];
  status: Status;
}
interface MessageItem {
  readonly type: 'message';
  readonly id: string;
  readonly role: 'assistant';
  readonly content: { type: 'output_text'; text: string; annotations: []; logprobs: [] }[];
  status: Status;
}
interface CallItem {
  readonly type: 'function_call';
  readonly id: string;
  readonly call_id: string;
  readonly name: string;
  arguments: string;
  status: Status;
}
type Item = ReasoningItem | MessageItem | CallItem;
type TextItem = ReasoningItem | MessageItem;

/** Reasoning and message text grow in the same way but have different event names. */
const TEXT_EVENTS = {
  reasoning: { delta: 'response.reasoning_text.delta', done: 'response.reasoning_text.done' },
  message: { delta: 'response.output_text.delta', done: 'response.output_text.done' },
} as const;

type Emit = (type: string, fields: object) => void;
type Delta = NodeChunk['choices'][number]['delta'];

/** Assembles the output items of one answer and emits an event for each step. */
class Output {
  readonly items: Item[] = [];
  readonly #suffix: string;
  readonly #emit: Emit;
  /** The item that is growing. `call` is the index of a tool call. */
  #open: { item: Item; call: number | null } | null = null;

  /** @param suffix part of every item's id, so that no other answer has the same ids */
  constructor(suffix: string, emit: Emit) {
    this.#suffix = suffix;
    this.#emit = emit;
  }

  take({ reasoning_content, content, tool_calls = [] }: Delta): void {
    if (reasoning_content) this.#grow(this.#text('reasoning'), reasoning_content);
    if (content) this.#grow(this.#text('message'), content);
    for (const call of tool_calls) {
      const item = this.#call(call.index, call.id, call.function.name);
      const delta = call.function.arguments ?? '';
      if (delta === '') continue;
      item.arguments += delta;
      this.#emit('response.function_call_arguments.delta', { ...this.#position(item), delta });
    }
  }

  close(status: Exclude<Status, 'in_progress'> = 'completed'): void {
    const item = this.#open?.item;
    if (!item) return;
    this.#open = null;
    item.status = status;
    if (item.type === 'function_call') {
      const { arguments: args } = item;
      this.#emit('response.function_call_arguments.done', { ...this.#position(item), arguments: args });
    } else {
      const [part] = item.content;
      const position = { ...this.#position(item), content_index: 0 };
      const logprobs = item.type === 'message' ? { logprobs: [] } : {};
      this.#emit(TEXT_EVENTS[item.type].done, { ...position, text: part!.text, ...logprobs });
      this.#emit('response.content_part.done', { ...position, part });
    }
    this.#emit('response.output_item.done', { output_index: this.items.indexOf(item), item });
  }

  #grow(item: TextItem, delta: string): void {
    item.content[0]!.text += delta;
    const logprobs = item.type === 'message' ? { logprobs: [] } : {};
    const position = { ...this.#position(item), content_index: 0 };
    this.#emit(TEXT_EVENTS[item.type].delta, { ...position, delta, ...logprobs });
  }

  #text(type: TextItem['type']): TextItem {
    if (this.#open?.item.type === type) return this.#open.item;
    const item: TextItem =
      type === 'reasoning'
        ? { type, id: this.#newId('rs'), summary: [], content: [], status: 'in_progress' }
        : { type, id: this.#newId('msg'), role: 'assistant', content: [], status: 'in_progress' };
    this.#begin(item, null);
    const part =
      item.type === 'reasoning'
        ? ({ type: 'reasoning_text', text: '' } as const)
        : ({ type: 'output_text', text: '', annotations: [], logprobs: [] } as const);
    this.#emit('response.content_part.added', { ...this.#position(item), content_index: 0, part });
    item.content.push(part as never);
    return item;
  }

  #call(index: number, callId: string | undefined, name: string | undefined): CallItem {
    if (this.#open?.item.type === 'function_call' && this.#open.call === index) return this.#open.item;
    const id = this.#newId('fc');
    const item: CallItem = {
      type: 'function_call',
      id,
      call_id: callId ?? id,
      name: name ?? '',
      arguments: '',
      status: 'in_progress',
    };
    this.#begin(item, index);
    return item;
  }

  #begin(item: Item, call: number | null): void {
    this.close();
    this.items.push(item);
    this.#open = { item, call };
    this.#emit('response.output_item.added', { output_index: this.items.length - 1, item });
  }

  #position(item: Item) {
    return { item_id: item.id, output_index: this.items.indexOf(item) };
  }

  #newId(prefix: string): string {
    return `${prefix}_${this.#suffix}_${this.items.length}`;
  }
}

/** `server_error` has Codex try again; a stream that failed with `server_is_overloaded` it does not repeat. */
function codeOf({ type, code }: ErrorEnvelope['error']): string {
  return type === 'server_error' || type === 'overloaded' || type === 'timeout' ? 'server_error' : code;
}

export class ResponseEvents implements AnswerEvents {
  readonly #fields: ResponsesFields;
  readonly #head: AnswerHead;
  readonly #output: Output;
  #text = '';
  #sequence = 0;
  #finish: string | null = null;

  constructor(head: AnswerHead, fields: ResponsesFields) {
    this.#head = head;
    this.#fields = fields;
    this.#output = new Output(suffixOf(head), (type, data) => this.#event(type, data));
  }

  chunk({ choices }: NodeChunk): string {
    this.#begin();
    for (const { delta, finish_reason } of choices) {
      this.#output.take(delta);
      this.#finish = finish_reason ?? this.#finish;
    }
    return this.#takeText();
  }

  end(end: AnswerEnd): string {
    this.#begin();
    const reason = incompleteReason(this.#finish, end);
    this.#output.close(reason ? 'incomplete' : 'completed');
    const response = finishedResponse(this.#head, this.#fields, {
      ...end,
      items: this.#output.items,
      reason,
    });
    this.#event(reason ? 'response.incomplete' : 'response.completed', { response });
    return this.#takeText();
  }

  /**
   * Both events that OpenAI ends a failed stream with. Its SDKs raise the first, whose fields they have read flat and
   * nested; Codex reads only the second. Unfinished items are not closed: a client would run half a call of a tool.
   */
  failed(error: ErrorEnvelope['error']): string {
    const { code, message, param } = error;
    this.#begin();
    this.#event('error', { code, message, param, error });
    const response = responseOf(this.#head, this.#fields, { status: 'failed', output: [] });
    this.#event('response.failed', { response: { ...response, error: { code: codeOf(error), message } } });
    return this.#takeText();
  }

  #begin(): void {
    if (this.#sequence > 0) return;
    const response = responseOf(this.#head, this.#fields, { status: 'in_progress', output: [] });
    this.#event('response.created', { response });
    this.#event('response.in_progress', { response });
  }

  #event(type: string, fields: object): void {
    const data = JSON.stringify({ type, sequence_number: this.#sequence++, ...fields });
    this.#text += `event: ${type}\ndata: ${data}\n\n`;
  }

  #takeText(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

export class WholeResponse implements WholeAnswer {
  readonly #fields: ResponsesFields;
  readonly #head: AnswerHead;
  readonly #output: Output;
  #finish: string | null = null;

  constructor(head: AnswerHead, fields: ResponsesFields) {
    this.#head = head;
    this.#fields = fields;
    this.#output = new Output(suffixOf(head), () => undefined);
  }

  chunk({ choices }: NodeChunk): void {
    for (const { delta, finish_reason } of choices) {
      this.#output.take(delta);
      this.#finish = finish_reason ?? this.#finish;
    }
  }

  end(end: AnswerEnd): object {
    const reason = incompleteReason(this.#finish, end);
    this.#output.close(reason ? 'incomplete' : 'completed');
    return finishedResponse(this.#head, this.#fields, { ...end, items: this.#output.items, reason });
  }
}

function suffixOf({ requestId }: AnswerHead): string {
  return requestId.slice(requestId.indexOf('_') + 1);
}

function incompleteReason(finish: string | null, { ranOut }: AnswerEnd) {
  if (finish === 'content_filter') return 'content_filter';
  return ranOut !== null || finish === 'length' || finish === null ? 'max_output_tokens' : null;
}

function finishedResponse(
  head: AnswerHead,
  fields: ResponsesFields,
  { items, reason, usage, charge, ranOut }: AnswerEnd & { items: readonly Item[]; reason: string | null },
) {
  return {
    ...responseOf(head, fields, { status: reason ? 'incomplete' : 'completed', output: items }),
    incomplete_details: reason === null ? null : { reason },
    ...(reason === null ? { completed_at: Math.floor(Date.now() / 1_000) } : {}),
    usage: {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: 0 },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      total_tokens: usage.promptTokens + usage.completionTokens,
      ...toPublicCost(charge),
    },
    ...tollgateMember(head, ranOut),
  };
}

/** The response object at any point of the answer. It repeats the request's fields as OpenAI's does. */
function responseOf(
  head: AnswerHead,
  fields: ResponsesFields,
  { status, output }: { status: Status | 'failed'; output: readonly Item[] },
) {
  return {
    id: `resp_${suffixOf(head)}`,
    object: 'response',
    created_at: Math.floor(head.createdAtMs / 1_000),
    status,
    access_programs: null,
    background: false,
    error: null,
    incomplete_details: null as { reason: string } | null,
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    metadata: fields.metadata ?? {},
    model: head.modelId,
    output,
    parallel_tool_calls: fields.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: fields.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: fields.temperature ?? null,
    text: { format: fields.text?.format ?? { type: 'text' } },
    tool_choice: fields.tool_choice ?? 'auto',
    tools: (fields.tools ?? []).map((tool) => ({
      ...tool,
      parameters: tool.parameters ?? null,
      strict: tool.strict ?? null,
    })),
    top_p: fields.top_p ?? null,
    truncation: 'disabled',
    system_fingerprint: head.revision,
  };
}
