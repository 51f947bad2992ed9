/** A fake engine for the agent's tests that sends exactly the bytes a test scripts, and the events to script. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { UNUSED_RID } from '../../../gpu-pool/agent/sglang/probe.ts';
import { MODEL_PATH } from './fake-edge.ts';
import { readBody, serve } from './http.ts';

export interface ChatCall {
  body: Record<string, unknown>;
  req: IncomingMessage;
  res: ServerResponse;
}

/** An engine whose chat answers are whatever bytes the test writes. */
export class ScriptedEngine {
  url = '';
  readonly calls: ChatCall[] = [];
  readonly aborts: string[] = [];
  /** Status of /health; `never`: it is not answered. */
  health: number | 'never' = 200;
  /** Looks at /v1/loads. */
  looks = 0;
  /** Body of /server_info; by default that of an engine which meets the requirements. */
  settings: Record<string, unknown> = {
    version: '0.5.20',
    api_key: 'engine-secret',
    admin_api_key: 'engine-admin-secret',
    reasoning_parser: 'deepseek-r1',
    enable_cache_report: true,
    disable_radix_cache: false,
    max_queued_requests: 32,
    revision: null,
    enable_priority_scheduling: true,
    priority_scheduling_preemption_threshold: 10,
    schedule_low_priority_values_first: false,
    tool_call_parser: 'deepseekv3',
    chat_template: '/sgl-workspace/sglang/examples/chat_template/tool_chat_template_deepseekr1.jinja',
    log_requests: false,
  };
  modelPath = MODEL_PATH;
  settingsStatus = 200;
  /** Leaves /model_info without an answer. */
  silent = false;
  /** Status of /abort_request. */
  abortStatus = 200;
  loads: unknown = { loads: [rankLoad(3), rankLoad(4)] };
  onChat: (call: ChatCall) => void = ({ res }) => sse(res, [...answerEvents(['Hello', ' world']), '[DONE]']);
  onAbort: (rid: string) => void = () => {};

  static async start(): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine();
    const { url } = await serve((req, res) => void engine.#handle(req, res));
    engine.url = url;
    return engine;
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const json = (status: number, body: unknown) => {
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(JSON.stringify(body));
    };
    const body = (await readBody(req).catch(() => null)) as Record<string, unknown>;
    if (this.silent && req.url === '/model_info') return;
    if (req.url === '/model_info') return json(200, { model_path: this.modelPath, weight_version: 'w1' });
    if (req.url === '/server_info') return json(this.settingsStatus, this.settings);
    if (req.url === '/health') return this.health === 'never' ? undefined : json(this.health, {});
    if (req.url?.startsWith('/v1/loads')) this.looks += 1;
    if (req.url?.startsWith('/v1/loads')) return this.loads ? json(200, this.loads) : json(404, {});
    if (req.url === '/get_load') return json(200, [{ num_reqs: 5, num_waiting_reqs: 2, num_tokens: 70 }]);
    if (req.url === '/abort_request') {
      if (this.abortStatus !== 200) return json(this.abortStatus, { error: 'Unauthorized' });
      if (body.rid === UNUSED_RID) return json(200, {});
      this.aborts.push(body.rid as string);
      this.onAbort(body.rid as string);
      return json(200, {});
    }
    const call = { body, req, res };
    this.calls.push(call);
    this.onChat(call);
  }
}

export function rankLoad(running: number) {
  return {
    dp_rank: 0,
    num_running_reqs: running,
    num_waiting_reqs: 1,
    num_waiting_uncached_tokens: 10,
    num_used_tokens: 100,
    max_total_num_tokens: 1_000,
    max_running_requests: 64,
    token_usage: 0.1,
    gen_throughput: 50.5,
    cache_hit_rate: 0.5,
  };
}

/** Writes a stream of events as SGLang does; objects become JSON. */
export function sse(res: ServerResponse, events: unknown[], { end = true } = {}): void {
  if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  res.write(sseText(events));
  if (end) res.end();
}

export function sseText(events: unknown[], newline = '\n'): string {
  return events
    .map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}${newline}${newline}`)
    .join('');
}

interface EventOptions {
  index?: number;
  content?: string | null;
  reasoning?: string | null;
  finish?: string | null;
  usage?: unknown;
  logprobs?: unknown;
  toolCalls?: unknown;
  role?: string;
}

/** A chunk with every field that SGLang sends, nulls and engine-only ones included. */
export function event(options: EventOptions): Record<string, unknown> {
  return {
    id: 'req',
    object: 'chat.completion.chunk',
    created: 1,
    model: MODEL_PATH,
    choices: [
      {
        index: options.index ?? 0,
        delta: {
          role: options.role ?? null,
          content: options.content ?? null,
          reasoning_content: options.reasoning ?? null,
          tool_calls: options.toolCalls ?? null,
          hidden_states: null,
        },
        logprobs: options.logprobs ?? null,
        finish_reason: options.finish ?? null,
        matched_stop: options.finish ? 1 : null,
      },
    ],
    usage: options.usage,
    metadata: { weight_version: 'w1' },
  };
}

export function usage(
  completion: number,
  { prompt = 12, reasoning = 0, cached = null as number | null } = {},
) {
  return {
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    completion_tokens: completion,
    prompt_tokens_details: cached === null ? null : { cached_tokens: cached },
    reasoning_tokens: reasoning,
  };
}

/** Answers a pass over a prompt, which the agent makes before it asks for several choices. */
export function sendPromptPass(res: ServerResponse, counts: unknown = usage(1, { cached: 0 })): void {
  res.writeHead(200, { 'content-type': 'application/json' });
  const message = { role: 'assistant', content: 'Hello' };
  res.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'length' }], usage: counts }));
}

/** A last chunk without choices, with the usage of the whole request. */
export function total(counts: unknown): Record<string, unknown> {
  return { id: 'req', object: 'chat.completion.chunk', choices: [], usage: counts };
}

/** The events of a whole answer, one for each token, without [DONE]. */
export function answerEvents(tokens: string[]): unknown[] {
  return [
    event({ role: 'assistant', content: '' }),
    ...tokens.map((content, i) => event({ content, usage: usage(i + 1) })),
    event({ finish: 'stop' }),
    total(usage(tokens.length, { cached: 4 })),
  ];
}
