/** Reads what an answer came to, from the answer of any dialect, streamed or whole. */
import type { Outcome } from './fixture.ts';

type Json = Record<string, unknown>;

export interface RawAnswer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** The events of a stream, or the body as the only one. A body that is no JSON has none. */
export function eventsOf({ type, text }: RawAnswer): Json[] {
  const payloads = type.includes('event-stream')
    ? text.split(/\r?\n\r?\n/).flatMap((frame) => /^data: ?(.*)$/m.exec(frame)?.[1] ?? [])
    : [text];
  return payloads.flatMap((payload) => {
    try {
      const event: unknown = JSON.parse(payload);
      return typeof event === 'object' && event !== null ? [event as Json] : [];
    } catch {
      return [];
    }
  });
}

/** Whether a request was refused for its length, in the words of any dialect. */
export function isOverflow({ status, text }: RawAnswer): boolean {
  return status === 400 && /context_length_exceeded|prompt is too long|context length/i.test(text);
}

export function outcomeOf(answer: RawAnswer): Outcome {
  const gathered = new Gathered();
  for (const event of eventsOf(answer)) gathered.take(event);
  return gathered.outcome(answer.status);
}

interface GatheredCall {
  name: string;
  arguments: string;
}

class Gathered {
  #ending: string | null = null;
  #text = '';
  #thought = 0;
  readonly #calls = new Map<string, GatheredCall>();
  #ignored = new Set<string>();
  #error: string | null = null;
  #metered = false;

  take(event: Json): void {
    const error = objectOf(event.error);
    if (error) this.#error = String(error.code ?? error.type);
    const type = String(event.type ?? '');
    if (event.object === 'list') return;
    if (type.startsWith('response.')) this.#takeResponses(type, event);
    else if (event.object === 'response') this.#takeResponse(event);
    else if (type === 'message') this.#takeMessage(event);
    else if (event.choices) this.#takeChat(event);
    else this.#takeMessages(type, event);
    this.#takeUsage(event);
  }

  outcome(status: number): Outcome {
    return {
      status,
      ending: this.#ending,
      text: this.#text,
      thought: this.#thought,
      calls: [...this.#calls.values()],
      ignored: [...this.#ignored].sort(),
      error: this.#error,
      metered: this.#metered,
    };
  }

  #takeUsage(event: Json): void {
    const usage = objectOf(event.usage);
    const tokens = usage?.output_tokens ?? usage?.completion_tokens;
    if (typeof tokens === 'number') this.#metered = tokens > 0;
    for (const name of listOf(objectOf(event.tollgate)?.ignored)) this.#ignored.add(String(name));
  }

  #takeChat(event: Json): void {
    for (const choice of listOf(event.choices) as Json[]) {
      const said = objectOf(choice.delta) ?? objectOf(choice.message) ?? choice;
      this.#say(said.content ?? said.text);
      this.#think(said.reasoning_content);
      for (const [at, call] of (listOf(said.tool_calls) as Json[]).entries()) {
        const fn = objectOf(call.function);
        this.#call(String(call.index ?? at), fn?.name, fn?.arguments);
      }
      if (typeof choice.finish_reason === 'string') this.#ending = choice.finish_reason;
    }
  }

  #takeMessages(type: string, event: Json): void {
    const index = String(event.index);
    const [block, delta] = [objectOf(event.content_block), objectOf(event.delta)];
    if (type === 'message_start') this.#takeUsage(objectOf(event.message) ?? {});
    if (block?.type === 'tool_use') this.#call(index, block.name, '');
    this.#say(delta?.text ?? block?.text);
    this.#think(delta?.thinking);
    if (typeof delta?.partial_json === 'string') this.#call(index, '', delta.partial_json);
    if (typeof delta?.stop_reason === 'string') this.#ending = delta.stop_reason;
  }

  #takeMessage(message: Json): void {
    for (const [at, block] of (listOf(message.content) as Json[]).entries()) {
      this.#say(block.text);
      this.#think(block.thinking);
      if (block.type === 'tool_use') this.#call(String(at), block.name, JSON.stringify(block.input));
    }
    if (typeof message.stop_reason === 'string') this.#ending = message.stop_reason;
  }

  #takeResponses(type: string, event: Json): void {
    // The last event has the whole answer.
    const response = objectOf(event.response);
    if (response && ['response.completed', 'response.incomplete', 'response.failed'].includes(type))
      this.#takeResponse(response);
  }

  #takeResponse(response: Json): void {
    this.#ending = String(response.status);
    const error = objectOf(response.error);
    if (error) this.#error = String(error.code ?? error.type);
    for (const [at, item] of (listOf(response.output) as Json[]).entries()) {
      const parts = listOf(item.content) as Json[];
      if (item.type === 'message') for (const part of parts) this.#say(part.text);
      if (item.type === 'reasoning') for (const part of parts) this.#think(part.text);
      if (item.type === 'function_call') this.#call(String(at), item.name, item.arguments);
      if (item.type === 'custom_tool_call') this.#call(String(at), item.name, item.input);
    }
    this.#takeUsage(response);
  }

  #say(text: unknown): void {
    if (typeof text === 'string') this.#text += text;
  }

  #think(text: unknown): void {
    if (typeof text === 'string') this.#thought += text.length;
  }

  #call(key: string, name: unknown, args: unknown): void {
    const call = this.#calls.get(key) ?? { name: '', arguments: '' };
    this.#calls.set(key, {
      name: call.name || String(name ?? ''),
      arguments: call.arguments + String(args ?? ''),
    });
  }
}

function objectOf(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
