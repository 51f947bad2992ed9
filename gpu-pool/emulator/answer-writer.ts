/** The last step before the socket: SSE framing, and the faults that spoil bytes and usage. */
import type { ServerResponse } from 'node:http';
import type { FaultSet } from './faults.ts';
import { CONNECTION } from './http.ts';
import type { Usage } from './openai-shape.ts';

const HUGE = 9_007_199_254_740_991;

/** Writes one answer. */
export class AnswerWriter {
  readonly #res: ServerResponse;
  readonly #faults: FaultSet;
  readonly #lineEnd: string;
  /** Schedules the next byte for faults that send one byte at a time; null sends whole writes. */
  readonly #nextByte: ((send: () => void) => void) | null;
  #bytes: Buffer[] = [];
  #dripping = false;
  #dying = false;
  #usageCount = 0;
  #tokens = 0;
  #malformedSent = false;
  #ended = false;

  constructor(res: ServerResponse, faults: FaultSet) {
    this.#res = res;
    this.#faults = faults;
    this.#lineEnd = faults.has('crlf') ? '\r\n' : '\n';
    this.#nextByte = byteScheduler(faults);
  }

  /** Sends the headers of an event stream, once. */
  openStream(): void {
    if (this.#res.headersSent) return;
    this.#res.writeHead(200, { ...CONNECTION, 'content-type': 'text/event-stream; charset=utf-8' });
    this.#res.flushHeaders();
  }

  /** Sends one `data:` event. `tokens` is how many generated tokens it stands for. */
  event(data: { usage?: Usage | null } | '[DONE]', { tokens = 0 }: { tokens?: number } = {}): void {
    if (this.#closed()) return;
    this.openStream();
    const text = data === '[DONE]' ? data : JSON.stringify(this.spoilUsage(data));
    this.#write(`data: ${text}${this.#lineEnd}${this.#lineEnd}`);
    this.countTokens(tokens);
    this.#sendMalformed();
  }

  /** Ends a stream that is complete. */
  finishStream(): void {
    if (!this.#faults.has('no_done')) this.event('[DONE]');
    if (this.#faults.has('bytes_after_done')) {
      const late = { choices: [{ index: 0, delta: { content: 'late' }, finish_reason: null }] };
      this.#write(`data: ${JSON.stringify(late)}${this.#lineEnd}${this.#lineEnd}: and more`);
    }
    this.end();
  }

  json(status: number, body: object, headers: Record<string, string> = {}): void {
    if (this.#closed()) return;
    this.#res.writeHead(status, { ...CONNECTION, 'content-type': 'application/json', ...headers });
    this.#write(JSON.stringify(body));
    this.end();
  }

  html(status: number, body: string): void {
    this.#res.writeHead(status, { ...CONNECTION, 'content-type': 'text/html; charset=utf-8' });
    this.#write(body);
    this.end();
  }

  /**
   * Counts sent tokens, and closes the connection when `die_mid_stream` is due. A collected answer is cut off too.
   */
  countTokens(tokens: number): void {
    this.#tokens += tokens;
    const fault = this.#faults.get('die_mid_stream');
    if (!fault || this.#dying || this.#tokens < fault.afterTokens) return;
    this.#dying = true;
    // Data written so far must leave first, so that exactly this many tokens arrive.
    setImmediate(() => this.#res.destroy());
  }

  end(): void {
    this.#ended = true;
    if (!this.#dripping && !this.#closed()) this.#res.end();
  }

  /** Applies the usage faults to a body; returns the same body when there are none. */
  spoilUsage<T extends { usage?: Usage | null }>(body: T): T {
    const { usage } = body;
    if (!usage) return body;
    this.#usageCount += 1;
    if (this.#faults.has('usage_missing')) return { ...body, usage: undefined };
    if (this.#faults.has('usage_null')) return { ...body, usage: null };
    if (this.#faults.has('usage_negative')) return { ...body, usage: mapCounts(usage, (count) => -count) };
    if (this.#faults.has('usage_huge')) return { ...body, usage: mapCounts(usage, () => HUGE) };
    const isWholeAnswer = 'object' in body && body.object === 'chat.completion';
    const isLast = isWholeAnswer || ('choices' in body && (body.choices as unknown[]).length === 0);
    if (this.#faults.has('usage_shrinking') && (isLast || this.#usageCount % 2 === 0)) {
      return { ...body, usage: halved(usage) };
    }
    return body;
  }

  #sendMalformed(): void {
    const malformed = this.#faults.get('malformed_frame');
    if (malformed && !this.#malformedSent && this.#tokens >= malformed.afterTokens) {
      this.#malformedSent = true;
      this.#write(
        `data: {"id":"cut","object":"chat.completion.chunk","choices":[{"ind${this.#lineEnd}${this.#lineEnd}`,
      );
    }
  }

  #closed(): boolean {
    return this.#dying || this.#res.destroyed;
  }

  #write(text: string): void {
    if (this.#closed()) return;
    if (!this.#nextByte) return void this.#res.write(text);
    this.#bytes.push(Buffer.from(text));
    if (!this.#dripping) this.#drip(this.#nextByte);
  }

  #drip(next: (send: () => void) => void): void {
    this.#dripping = true;
    next(() => {
      const [head] = this.#bytes;
      if (this.#res.destroyed || !head) {
        this.#dripping = false;
        if (this.#ended) this.#res.end();
        return;
      }
      this.#res.write(head.subarray(0, 1));
      if (head.length > 1) this.#bytes[0] = head.subarray(1);
      else this.#bytes.shift();
      this.#drip(next);
    });
  }
}

/** A turn of the event loop between bytes keeps Node from joining them into one chunk. */
function byteScheduler(faults: FaultSet): ((send: () => void) => void) | null {
  const everyMs = faults.get('trickle')?.everyMs;
  if (everyMs !== undefined) return (send) => void setTimeout(send, everyMs).unref();
  return faults.has('split_bytes') ? setImmediate : null;
}

function mapCounts(usage: Usage, change: (count: number) => number): Usage {
  return {
    prompt_tokens: change(usage.prompt_tokens),
    total_tokens: change(usage.total_tokens),
    completion_tokens: change(usage.completion_tokens),
    prompt_tokens_details: usage.prompt_tokens_details && {
      cached_tokens: change(usage.prompt_tokens_details.cached_tokens),
    },
    reasoning_tokens: change(usage.reasoning_tokens),
  };
}

function halved(usage: Usage): Usage {
  const completion = Math.floor(usage.completion_tokens / 2);
  return {
    ...usage,
    completion_tokens: completion,
    reasoning_tokens: Math.floor(usage.reasoning_tokens / 2),
    total_tokens: usage.prompt_tokens + completion,
  };
}
