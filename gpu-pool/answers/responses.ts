/**
 * Answers as OpenAI's response object: items of reasoning, text and function calls, assembled from a node's chunks. In a
 * stream every step of the assembly is an event; otherwise only the finished object is sent.
 */
import type { ResponsesFormat, ToolForm } from '../protocol/answer-format.ts';
import type { FinishReason, NodeChunk, NodeUsage } from '../protocol/schemas.ts';
import { incompleteReason } from './ending.ts';
import {
  type AnswerEnd,
  type Closing,
  namedEvent,
  type PublicError,
  type StreamEnding,
  type StreamFormatter,
  suffixOf,
  type Tail,
  tollgateMember,
  type WholeFormatter,
} from './formatter.ts';
import { toPublicCost } from './public-usage.ts';
import { CALL_EVENTS, type CallItem, type GrowingCall, growingCall } from './responses-call.ts';
import { sealedThought } from './sealed-thought.ts';

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

type Emit = (type: string, fields: object) => void;
type Delta = NodeChunk['choices'][number]['delta'];

/** The item that is growing. `index` is that of a call in the node's chunks. */
type OpenItem =
  | { readonly item: TextItem }
  | { readonly item: CallItem; readonly call: GrowingCall; readonly index: number };

/** Assembles the output items of one answer and emits an event for each step. */
class Output {
  readonly items: Item[] = [];
  finish: FinishReason | null = null;
  readonly #emit: Emit;
  readonly #format: ResponsesFormat;
  /** Part of every item's id, so that no other answer has the same ids. */
  readonly #suffix: string;
  /** The client's forms of the tools, by the names that the model knows. */
  readonly #forms: ReadonlyMap<string, ToolForm>;
  #open: OpenItem | null = null;

  constructor(format: ResponsesFormat, emit: Emit) {
    this.#format = format;
    this.#suffix = suffixOf(format);
    this.#forms = new Map(format.tool_forms?.map((form) => [form.called, form]));
    this.#emit = emit;
  }

  take({ choices }: NodeChunk): void {
    for (const { delta, finish_reason } of choices) {
      this.#grow(delta);
      this.finish = finish_reason ?? this.finish;
    }
  }

  /** Closes the item that is open. @returns why the response is incomplete; null: it is complete */
  end(): ReturnType<typeof incompleteReason> {
    const reason = incompleteReason(this.finish);
    this.#close(reason ? 'incomplete' : 'completed');
    return reason;
  }

  #grow({ reasoning_content, content, tool_calls = [] }: Delta): void {
    if (reasoning_content) this.#think(reasoning_content);
    if (content) this.#write(content);
    for (const call of tool_calls) {
      const growing = this.#call(call.index, call.id, call.function.name);
      this.#growCall(growing.item, growing.take(call.function.arguments ?? ''));
    }
  }

  #close(status: Exclude<Status, 'in_progress'> = 'completed'): void {
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
    if (!this.#format.streams_thought) return;
    item.content[0]!.text += delta;
    this.#emit('response.reasoning_text.delta', { ...position, content_index: 0, delta });
  }

  #beginThought(): ReasoningItem {
    const item: ReasoningItem = {
      ...{ type: 'reasoning', id: this.#newId('rs'), summary: [], content: [], status: 'in_progress' },
      ...(this.#format.encrypted_thought && { encrypted_content: null }),
    };
    this.#begin({ item });
    const position = this.#position(item);
    const summary = { type: 'summary_text', text: '' } as const;
    this.#emit('response.reasoning_summary_part.added', { ...position, summary_index: 0, part: summary });
    item.summary.push({ ...summary });
    if (!this.#format.streams_thought) return item;
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
    if (this.#format.encrypted_thought) item.encrypted_content = sealedThought(text);
    const position = this.#position(item);
    this.#emit('response.reasoning_summary_text.done', { ...position, summary_index: 0, text });
    this.#emit('response.reasoning_summary_part.done', { ...position, summary_index: 0, part: summary });
    if (!this.#format.streams_thought) return;
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
    this.#close();
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

export class ResponseStream implements StreamFormatter {
  /** Also the number of the next event in its sequence. */
  events = 0;
  readonly #format: ResponsesFormat;
  readonly #output: Output;
  #text = '';

  constructor(format: ResponsesFormat) {
    this.#format = format;
    this.#output = new Output(format, (type, data) => this.#event(type, data));
  }

  chunk(chunk: NodeChunk): string {
    this.#begin();
    this.#output.take(chunk);
    return this.#takeText();
  }

  /** OpenAI's clients put the event's items in place of their own, so it has them as far as they are. */
  alive(): string {
    if (this.events === 0) return '';
    const { items } = this.#output;
    this.#event('response.in_progress', {
      response: responseOf(this.#format, { status: 'in_progress', output: items }),
    });
    return this.#takeText();
  }

  close({ nowMs }: Closing): { text: string; tail: Tail } {
    this.#begin();
    const reason = this.#output.end();
    return {
      text: this.#takeText(),
      tail: { reason, completed_at: secondsOf(nowMs), events: this.events },
    };
  }

  #begin(): void {
    if (this.events > 0) return;
    this.#text += opening(this.#format);
    this.events = OPENING_EVENTS;
  }

  #event(type: string, fields: object): void {
    this.#text += responseEvent(type, this.events++, fields);
  }

  #takeText(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

export class ResponseEnding implements StreamEnding {
  readonly #format: ResponsesFormat;

  constructor(format: ResponsesFormat) {
    this.#format = format;
  }

  end(end: AnswerEnd, tail: Tail, output: readonly string[] = []): string {
    const response = finishedResponse(this.#format, end, tail, output);
    return responseEvent(`response.${response.status}`, Number(tail.events), { response });
  }

  /**
   * Both events that OpenAI ends a failed stream with. Its SDKs raise the first, whose fields they have read flat and
   * nested; Codex reads only the second. Unfinished items are not closed: a client would run half a call of a tool.
   */
  failed(error: PublicError, events: number): string {
    const { code, message, param } = error;
    const begun = events === 0 ? opening(this.#format) : '';
    const next = events === 0 ? OPENING_EVENTS : events;
    const response = responseOf(this.#format, { status: 'failed', output: [] });
    return (
      begun +
      responseEvent('error', next, { code, message, param, error }) +
      responseEvent('response.failed', next + 1, {
        response: { ...response, error: { code: codeOf(error), message } },
      })
    );
  }
}

/** The response object of a streamed answer that has ended. @param output JSON of its items */
export function finishedResponse(
  format: ResponsesFormat,
  end: AnswerEnd,
  { reason, completed_at }: Tail,
  output: readonly string[],
) {
  const items = output.map((item) => JSON.parse(item) as Item);
  const outcome = outcomeOf(reason as ReturnType<typeof incompleteReason>, completed_at as number);
  const { status } = outcome;
  return { ...responseOf(format, { status, output: items }), ...outcome, ...endOfResponse(format, end) };
}

export class WholeResponse implements WholeFormatter {
  readonly #format: ResponsesFormat;
  readonly #output: Output;

  constructor(format: ResponsesFormat) {
    this.#format = format;
    this.#output = new Output(format, () => undefined);
  }

  chunk(chunk: NodeChunk): void {
    this.#output.take(chunk);
  }

  close({ nowMs }: Closing): object {
    const outcome = outcomeOf(this.#output.end(), secondsOf(nowMs));
    return {
      ...responseOf(this.#format, { status: outcome.status, output: this.#output.items }),
      ...outcome,
    };
  }
}

/** The members of a response that only the edge knows. */
export function endOfResponse({ head }: ResponsesFormat, { usage, chargeNanoUsd, ranOut }: AnswerEnd) {
  return { usage: usageOf(usage, chargeNanoUsd), ...tollgateMember(head, ranOut) };
}

/** `server_error` has Codex try again; a stream that failed with `server_is_overloaded` it does not repeat. */
function codeOf({ type, code }: PublicError): string {
  return type === 'server_error' || type === 'overloaded' || type === 'timeout' ? 'server_error' : code;
}

function responseEvent(type: string, sequence: number, fields: object): string {
  return namedEvent(type, JSON.stringify({ type, sequence_number: sequence, ...fields }));
}

const OPENING_EVENTS = 2;

function opening(format: ResponsesFormat): string {
  const response = responseOf(format, { status: 'in_progress', output: [] });
  return (
    responseEvent('response.created', 0, { response }) +
    responseEvent('response.in_progress', 1, { response })
  );
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1_000);
}

/** @param reason null: the response is complete */
function outcomeOf(reason: ReturnType<typeof incompleteReason>, completedAt: number) {
  return reason === null
    ? { status: 'completed' as const, incomplete_details: null, completed_at: completedAt }
    : { status: 'incomplete' as const, incomplete_details: { reason } };
}

function usageOf(usage: NodeUsage, chargeNanoUsd: number) {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.cached_tokens, cache_write_tokens: 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.reasoning_tokens },
    total_tokens: usage.prompt_tokens + usage.completion_tokens,
    ...toPublicCost(chargeNanoUsd),
  };
}

/** The response object at any point of the answer. It repeats the request's fields as OpenAI's does. */
function responseOf(
  format: ResponsesFormat,
  { status, output }: { status: Status | 'failed'; output: readonly Item[] },
) {
  const { head, repeated } = format;
  return {
    id: `resp_${suffixOf(format)}`,
    object: 'response',
    created_at: secondsOf(head.created_at_ms),
    status,
    access_programs: null,
    background: false,
    error: null,
    incomplete_details: null as { reason: string } | null,
    instructions: repeated.instructions,
    max_output_tokens: repeated.max_output_tokens,
    metadata: repeated.metadata,
    model: head.model,
    output,
    parallel_tool_calls: repeated.parallel_tool_calls,
    previous_response_id: head.turn?.previous_response_id ?? null,
    reasoning: repeated.reasoning,
    store: (head.turn?.secret ?? null) !== null,
    temperature: repeated.temperature,
    text: repeated.text,
    tool_choice: repeated.tool_choice,
    tools: repeated.tools,
    top_p: repeated.top_p,
    truncation: 'disabled',
    system_fingerprint: head.revision,
  };
}
