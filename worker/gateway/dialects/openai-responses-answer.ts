/**
 * Answers as OpenAI's response object: items of reasoning, text and function calls, assembled from a node's chunks. In a
 * stream every step of the assembly is an event; otherwise only the finished object is sent.
 */
import type { FinishReason, NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import { toPublicCost } from '../../domain/usage.ts';
import type { ErrorEnvelope } from '../../http/api-error.ts';
import {
  type AnswerEnd,
  type AnswerEvents,
  type AnswerHead,
  tollgateMember,
  type WholeAnswer,
} from './dialect.ts';
import { incompleteReason } from './ending.ts';
import type { ResponsesFields } from './openai-responses-request.ts';
import { SEALED_THOUGHT, sealedThought } from './sealed-thought.ts';
import type { ToolForm } from './tools/declared.ts';
import { CALL_EVENTS, type CallItem, type GrowingCall, growingCall } from './tools/responses-call.ts';
import { shownTool } from './tools/responses-tools.ts';
import { idSuffix } from './turn-head.ts';

/** The client's forms of the tools, by the names that the model knows. */
type Forms = ReadonlyMap<string, ToolForm>;

type Status = 'in_progress' | 'completed' | 'incomplete';

interface ReasoningItem {
  readonly type: 'reasoning';
  readonly id: string;
  readonly summary: { type: 'summary_text'; text: string }[];
  readonly content: { type: 'reasoning_text'; text: string }[];
  /** The thought once more, for clients that send back nothing else of it; absent unless the request includes it. */
  encrypted_content?: string | null;
  status: Status;
}
interface MessageItem {
  readonly type: 'message';
  readonly id: string;
  readonly role: 'assistant';
  readonly content: { type: 'output_text'; text: string; annotations: []; logprobs: [] }[];
  status: Status;
}
type TextItem = ReasoningItem | MessageItem;
type Item = TextItem | CallItem;

/** How reasoning is shown, as the request wants it. */
interface ReasoningOptions {
  /**
   * Whether events carry the thought as `reasoning_text`, too. Every client reads the summary; some read both and would show
   * the thought twice, and these ask for a summary (Roo Code, Pi, opencode). The finished item has both in any case.
   */
  readonly streamsText: boolean;
  readonly encrypted: boolean;
}

interface OutputOptions {
  readonly reasoning: ReasoningOptions;
  readonly forms: Forms;
}

type Emit = (type: string, fields: object) => void;
type Delta = NodeChunk['choices'][number]['delta'];

/** The item that is growing. `index` is that of a call in the node's chunks. */
type OpenItem =
  | { readonly item: TextItem }
  | { readonly item: CallItem; readonly call: GrowingCall; readonly index: number };

/** Assembles the output items of one answer and emits an event for each step. */
class Output {
  readonly items: Item[] = [];
  readonly #suffix: string;
  readonly #emit: Emit;
  readonly #reasoning: ReasoningOptions;
  #open: OpenItem | null = null;
  readonly #forms: Forms;

  /** @param suffix part of every item's id, so that no other answer has the same ids */
  constructor(suffix: string, { reasoning, forms }: OutputOptions, emit: Emit) {
    this.#suffix = suffix;
    this.#reasoning = reasoning;
    this.#forms = forms;
    this.#emit = emit;
  }

  take({ reasoning_content, content, tool_calls = [] }: Delta): void {
    if (reasoning_content) this.#think(reasoning_content);
    if (content) this.#write(content);
    for (const call of tool_calls) {
      const growing = this.#call(call.index, call.id, call.function.name);
      this.#growCall(growing.item, growing.take(call.function.arguments ?? ''));
    }
  }

  close(status: Exclude<Status, 'in_progress'> = 'completed'): void {
    const open = this.#open;
    if (!open) return;
    this.#open = null;
    const { item } = open;
    item.status = status;
    if ('call' in open) {
      this.#growCall(open.item, open.call.end());
      this.#emit(CALL_EVENTS[open.item.type].done, { ...this.#position(item), ...open.call.whole() });
    } else if (open.item.type === 'message') {
      const { item } = open;
      const [part] = item.content;
      const position = { ...this.#position(item), content_index: 0 };
      this.#emit('response.output_text.done', { ...position, text: part!.text, logprobs: [] });
      this.#emit('response.content_part.done', { ...position, part });
    } else this.#endThought(open.item);
    this.#emit('response.output_item.done', { output_index: this.items.indexOf(item), item });
  }

  #write(delta: string): void {
    const open = this.#open?.item;
    const item = open?.type === 'message' ? open : this.#beginMessage();
    item.content[0]!.text += delta;
    const position = { ...this.#position(item), content_index: 0 };
    this.#emit('response.output_text.delta', { ...position, delta, logprobs: [] });
  }

  #growCall(item: CallItem, delta: string): void {
    if (delta !== '') this.#emit(CALL_EVENTS[item.type].delta, { ...this.#position(item), delta });
  }

  #beginMessage(): MessageItem {
    const item: MessageItem = {
      ...{ type: 'message', id: this.#newId('msg'), role: 'assistant', content: [], status: 'in_progress' },
    };
    this.#begin({ item });
    const part: MessageItem['content'][number] = {
      ...{ type: 'output_text', text: '', annotations: [], logprobs: [] },
    };
    this.#emit('response.content_part.added', { ...this.#position(item), content_index: 0, part });
    item.content.push(part);
    return item;
  }

  /** A thought grows as the item's summary and as its content: clients read the one or the other. */
  #think(delta: string): void {
    const open = this.#open?.item;
    const item = open?.type === 'reasoning' ? open : this.#beginThought();
    item.summary[0]!.text += delta;
    const position = this.#position(item);
    this.#emit('response.reasoning_summary_text.delta', { ...position, summary_index: 0, delta });
    if (!this.#reasoning.streamsText) return;
    item.content[0]!.text += delta;
    this.#emit('response.reasoning_text.delta', { ...position, content_index: 0, delta });
  }

  #beginThought(): ReasoningItem {
    const item: ReasoningItem = {
      ...{ type: 'reasoning', id: this.#newId('rs'), summary: [], content: [], status: 'in_progress' },
      ...(this.#reasoning.encrypted && { encrypted_content: null }),
    };
    this.#begin({ item });
    const position = this.#position(item);
    const summary = { type: 'summary_text', text: '' } as const;
    this.#emit('response.reasoning_summary_part.added', { ...position, summary_index: 0, part: summary });
    item.summary.push({ ...summary });
    if (!this.#reasoning.streamsText) return item;
    const part = { type: 'reasoning_text', text: '' } as const;
    this.#emit('response.content_part.added', { ...position, content_index: 0, part });
    item.content.push({ ...part });
    return item;
  }

  #endThought(item: ReasoningItem): void {
    const [summary] = item.summary;
    const { text } = summary!;
    const part = { type: 'reasoning_text', text } as const;
    item.content[0] = part;
    if (this.#reasoning.encrypted) item.encrypted_content = sealedThought(text);
    const position = this.#position(item);
    this.#emit('response.reasoning_summary_text.done', { ...position, summary_index: 0, text });
    this.#emit('response.reasoning_summary_part.done', { ...position, summary_index: 0, part: summary });
    if (!this.#reasoning.streamsText) return;
    this.#emit('response.reasoning_text.done', { ...position, content_index: 0, text });
    this.#emit('response.content_part.done', { ...position, content_index: 0, part });
  }

  #call(index: number, callId: string | undefined, name = ''): GrowingCall {
    if (this.#open && 'call' in this.#open && this.#open.index === index) return this.#open.call;
    const newId = (prefix: string) => this.#newId(prefix);
    const call = growingCall(this.#forms.get(name), { newId, callId, name });
    this.#begin({ item: call.item, call, index });
    return call;
  }

  #begin(open: OpenItem): void {
    this.close();
    this.items.push(open.item);
    this.#open = open;
    this.#emit('response.output_item.added', { output_index: this.items.length - 1, item: open.item });
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
  #finish: FinishReason | null = null;

  constructor(head: AnswerHead, fields: ResponsesFields, forms: Forms) {
    this.#head = head;
    this.#fields = fields;
    this.#output = new Output(suffixOf(head), { reasoning: reasoningOptions(fields), forms }, (type, data) =>
      this.#event(type, data),
    );
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
    const reason = incompleteReason(this.#finish);
    this.#output.close(reason ? 'incomplete' : 'completed');
    const response = finishedResponse(this.#head, this.#fields, {
      ...end,
      items: this.#output.items,
      reason,
    });
    this.#head.turn?.finished(response);
    this.#event(reason ? 'response.incomplete' : 'response.completed', { response });
    return this.#takeText();
  }

  /** OpenAI's clients put the event's items in place of their own, so it has them as far as they are. */
  alive(): string {
    if (this.#sequence === 0) return '';
    const { items } = this.#output;
    const response = responseOf(this.#head, this.#fields, { status: 'in_progress', output: items });
    this.#event('response.in_progress', { response });
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
  #finish: FinishReason | null = null;

  constructor(head: AnswerHead, fields: ResponsesFields, forms: Forms) {
    this.#head = head;
    this.#fields = fields;
    this.#output = new Output(
      suffixOf(head),
      { reasoning: reasoningOptions(fields), forms },
      () => undefined,
    );
  }

  chunk({ choices }: NodeChunk): void {
    for (const { delta, finish_reason } of choices) {
      this.#output.take(delta);
      this.#finish = finish_reason ?? this.#finish;
    }
  }

  end(end: AnswerEnd): object {
    const reason = incompleteReason(this.#finish);
    this.#output.close(reason ? 'incomplete' : 'completed');
    const { items } = this.#output;
    const response = finishedResponse(this.#head, this.#fields, { ...end, items, reason });
    this.#head.turn?.finished(response);
    return response;
  }
}

function reasoningOptions({ reasoning, include }: ResponsesFields): ReasoningOptions {
  return {
    streamsText: (reasoning?.summary ?? reasoning?.generate_summary ?? null) === null,
    encrypted: include?.includes(SEALED_THOUGHT) ?? false,
  };
}

function suffixOf({ requestId, turn }: AnswerHead): string {
  return idSuffix(requestId, turn?.secret ?? null);
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
    previous_response_id: head.turn?.previousResponseId ?? null,
    reasoning: { effort: fields.reasoning?.effort ?? null, summary: fields.reasoning?.summary ?? null },
    store: (head.turn?.secret ?? null) !== null,
    temperature: fields.temperature ?? null,
    text: { format: fields.text?.format ?? { type: 'text' } },
    tool_choice: fields.tool_choice ?? 'auto',
    tools: (fields.tools ?? []).flatMap((tool) => shownTool(tool) ?? []),
    top_p: fields.top_p ?? null,
    truncation: 'disabled',
    system_fingerprint: head.revision,
  };
}
