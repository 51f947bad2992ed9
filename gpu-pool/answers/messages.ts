/**
 * Answers as Anthropic's message: content blocks of thinking, text and tool use, assembled from a node's chunks. In a stream
 * every step of the assembly is an event; otherwise only the finished message is sent.
 */
import type { MessagesFormat } from '../protocol/answer-format.ts';
import type { NodeChunk, NodeUsage } from '../protocol/schemas.ts';
import { type Ending, isCut, messageEnding } from './ending.ts';
import {
  type AnswerEnd,
  type Closing,
  namedEvent,
  type PublicError,
  type StreamEnding,
  type StreamFormatter,
  type Tail,
  tollgateMember,
  type WholeFormatter,
} from './formatter.ts';
import { toPublicCost } from './public-usage.ts';

/**
 * Anthropic uses `signature` to verify that thinking which a client sends back is its own. This API drops such thinking
 * unread, so there is nothing to sign.
 */
interface ThinkingBlock {
  readonly type: 'thinking';
  thinking: string;
  readonly signature: '';
}
interface TextBlock {
  readonly type: 'text';
  text: string;
  readonly citations: null;
}
interface ToolUseBlock {
  readonly type: 'tool_use';
  readonly id: string;
  readonly name: string;
  readonly caller: { readonly type: 'direct' };
  /** JSON text, complete once the block is closed. */
  input: string;
}
type Block = ThinkingBlock | TextBlock | ToolUseBlock;
type Choice = NodeChunk['choices'][number];
type Emit = (type: string, fields: object) => void;

/** Assembles the content blocks of one answer and emits an event for each step. */
class Blocks {
  readonly #blocks: Block[] = [];
  readonly #emit: Emit;
  /** The block that is growing. `call` is the index of a tool call. */
  #open: { block: Block; call: number | null } | null = null;
  #ending: Ending | null = null;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  take({ delta, finish_reason, stop_sequence }: Choice): void {
    const { reasoning_content, content, tool_calls = [] } = delta;
    if (reasoning_content) {
      this.#text('thinking', () => ({ type: 'thinking', thinking: '', signature: '' })).thinking +=
        reasoning_content;
      this.#delta({ type: 'thinking_delta', thinking: reasoning_content });
    }
    if (content) {
      this.#text('text', () => ({ type: 'text', text: '', citations: null })).text += content;
      this.#delta({ type: 'text_delta', text: content });
    }
    for (const call of tool_calls) {
      const block = this.#call(call.index, call.id, call.function.name);
      const partial = call.function.arguments ?? '';
      if (partial === '') continue;
      block.input += partial;
      this.#delta({ type: 'input_json_delta', partial_json: partial });
    }
    if (finish_reason !== null) this.#ending = { finish: finish_reason, sequence: stop_sequence };
  }

  stop() {
    return messageEnding(this.#ending);
  }

  /**
   * The blocks of a whole message. Clients run every call that they find, so one that was cut off is left out; one whose input
   * the model itself wrote wrong has an empty one, of which its tool complains.
   */
  content(): object[] {
    const cut = isCut(this.#ending?.finish ?? 'length');
    const last = this.#blocks.findLast(({ type }) => type === 'tool_use');
    return this.#blocks.flatMap((block): object[] => {
      if (block.type !== 'tool_use') return [block];
      const input = parseInput(block.input);
      return input === null && cut && block === last ? [] : [{ ...block, input: input ?? {} }];
    });
  }

  #text<B extends ThinkingBlock | TextBlock>(type: B['type'], make: () => B): B {
    if (this.#open?.block.type === type) return this.#open.block as B;
    const block = make();
    this.#begin(block, null, { ...block });
    return block;
  }

  #call(index: number, id: string | undefined, name: string | undefined): ToolUseBlock {
    if (this.#open?.block.type === 'tool_use' && this.#open.call === index) return this.#open.block;
    const block: ToolUseBlock = {
      type: 'tool_use',
      id: id ?? `toolu_${index}`,
      name: name ?? '',
      caller: { type: 'direct' },
      input: '',
    };
    this.#begin(block, index, { ...block, input: {} });
    return block;
  }

  #begin(block: Block, call: number | null, shown: object): void {
    this.close();
    this.#blocks.push(block);
    this.#open = { block, call };
    this.#emit('content_block_start', { index: this.#blocks.length - 1, content_block: shown });
  }

  close(): void {
    if (this.#open === null) return;
    this.#emit('content_block_stop', { index: this.#blocks.length - 1 });
    this.#open = null;
  }

  #delta(delta: object): void {
    this.#emit('content_block_delta', { index: this.#blocks.length - 1, delta });
  }
}

/** @returns null: it is no JSON object, because it was cut off or the model wrote none */
function parseInput(json: string): object | null {
  try {
    const input: unknown = json === '' ? null : JSON.parse(json);
    return typeof input === 'object' && !Array.isArray(input) ? input : null;
  } catch {
    return null;
  }
}

export class MessageStream implements StreamFormatter {
  events = 0;
  readonly #format: MessagesFormat;
  readonly #blocks = new Blocks((type, fields) => this.#event(type, fields));
  #text = '';

  constructor(format: MessagesFormat) {
    this.#format = format;
  }

  chunk({ choices, usage }: NodeChunk): string {
    this.#begin(usage);
    for (const choice of choices) this.#blocks.take(choice);
    return this.#takeText();
  }

  close({ usage }: Closing): { text: string; tail: Tail } {
    this.#begin(usage);
    this.#blocks.close();
    return { text: this.#takeText(), tail: this.#blocks.stop() };
  }

  alive(): string {
    if (this.events > 0) this.#event('ping', {});
    return this.#takeText();
  }

  #begin(usage: NodeUsage): void {
    if (this.events > 0) return;
    const message = { ...messageOf(this.#format), content: [], stop_reason: null, stop_sequence: null };
    // the prompt's usage comes with the first chunk; completion tokens are reported at the end
    const begun = usageOf({ ...usage, completion_tokens: 0 });
    this.#event('message_start', { message: { ...message, usage: begun } });
  }

  #event(type: string, fields: object): void {
    this.events += 1;
    this.#text += messageEvent(type, fields);
  }

  #takeText(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

export class MessageEnding implements StreamEnding {
  readonly #format: MessagesFormat;

  constructor(format: MessagesFormat) {
    this.#format = format;
  }

  end({ usage, chargeNanoUsd, ranOut }: AnswerEnd, { stop_reason, stop_sequence }: Tail): string {
    const { cache_creation, service_tier, inference_geo, speed, ...counts } = usageOf(usage);
    const last = messageEvent('message_delta', {
      delta: { stop_reason, stop_sequence, stop_details: null, container: null },
      usage: { ...counts, ...toPublicCost(chargeNanoUsd) },
      ...tollgateMember(this.#format.head, ranOut),
    });
    return last + messageEvent('message_stop', {});
  }

  failed(error: PublicError): string {
    return messageEvent('error', { error: anthropicError(error) });
  }
}

function messageEvent(type: string, fields: object): string {
  return namedEvent(type, JSON.stringify({ type, ...fields }));
}

export class WholeMessage implements WholeFormatter {
  readonly #format: MessagesFormat;
  readonly #blocks = new Blocks(() => undefined);

  constructor(format: MessagesFormat) {
    this.#format = format;
  }

  chunk({ choices }: NodeChunk): void {
    for (const choice of choices) this.#blocks.take(choice);
  }

  close(): object {
    return { ...messageOf(this.#format), content: this.#blocks.content(), ...this.#blocks.stop() };
  }
}

/** The members of a message that only the edge knows. */
export function endOfMessage({ head }: MessagesFormat, { usage, chargeNanoUsd, ranOut }: AnswerEnd) {
  return { usage: { ...usageOf(usage), ...toPublicCost(chargeNanoUsd) }, ...tollgateMember(head, ranOut) };
}

function messageOf({ head }: MessagesFormat) {
  return {
    id: head.request_id.replace(/^req_/, 'msg_'),
    type: 'message',
    role: 'assistant',
    model: head.model,
    container: null,
    diagnostics: null,
    stop_details: null,
  };
}

/** Anthropic's `input_tokens` count only the prompt tokens that were not cached. */
function usageOf({ prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens }: NodeUsage) {
  return {
    input_tokens: prompt_tokens - cached_tokens,
    output_tokens: completion_tokens,
    cache_read_input_tokens: cached_tokens,
    cache_creation_input_tokens: 0,
    cache_creation: null,
    output_tokens_details: { thinking_tokens: Math.min(reasoning_tokens, completion_tokens) },
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: null,
    speed: null,
  };
}

/** Anthropic's error types by our error `type`, or by our `code` where the type does not decide. */
const ERROR_TYPES: Record<string, string> = {
  authentication_error: 'authentication_error',
  insufficient_balance: 'billing_error',
  permission_error: 'permission_error',
  rate_limit_exceeded: 'rate_limit_error',
  overloaded: 'overloaded_error',
  timeout: 'timeout_error',
  server_error: 'api_error',
  body_too_large: 'request_too_large',
  model_not_found: 'not_found_error',
  model_ended: 'not_found_error',
  route_not_found: 'not_found_error',
  not_offered: 'not_found_error',
};

/** Anthropic's error object, with our `code` and `param` added. */
export function anthropicError({ type, code, message, param }: PublicError) {
  const anthropicType = ERROR_TYPES[type] ?? ERROR_TYPES[code] ?? 'invalid_request_error';
  return { type: anthropicType, message, code, param };
}
