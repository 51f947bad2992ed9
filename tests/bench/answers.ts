/** The upstream's answers as prepared bytes, in the format of OpenAI's API and in that of a node's agent. */
import type { NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { ANSWERED, MODEL, TOKEN, type Workload } from './workloads.ts';

/** The writes of one response, in order. */
export type Answer = readonly Buffer[];
/** The number of events per write of a stream without pace, about as a network delivers the backlog of a stream. */
const EVENTS_PER_WRITE = 16;

const EVENT_STREAM = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' } as const;

const head = { id: 'chatcmpl-bench', created: 1_700_000_000, model: MODEL };

/** Answers to `POST /v1/chat/completions` by workload. */
export const openAiAnswers = new Map(ANSWERED.map((each) => [each.name, openAi(each)]));
/** Answers to `POST /v1/generate` by workload. */
export const nodeAnswers = new Map(ANSWERED.map((each) => [each.name, events(nodeChunks(each), each)]));
export const NO_CONTENT = json(200, {});

function openAi(workload: Workload): Answer {
  const { tokens, promptTokens, stream } = workload;
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
  };
  if (!stream) {
    const message = { role: 'assistant', content: `${TOKEN} `.repeat(tokens) };
    const choices = [{ index: 0, message, finish_reason: 'stop', logprobs: null }];
    return json(200, { ...head, object: 'chat.completion', choices, usage });
  }
  const chunk = (delta: object, finish_reason: string | null) => {
    const choices = [{ index: 0, delta, finish_reason, logprobs: null }];
    return { ...head, object: 'chat.completion.chunk', choices };
  };
  const chunks = deltas(workload).map((delta) => chunk(delta, null));
  return events([...chunks, { ...chunk({}, 'stop'), usage }], workload);
}

/** Each chunk carries the usage so far. As at an engine, a last one without text has the finish reason. */
export function nodeChunks(workload: Workload): NodeChunk[] {
  const { tokens, promptTokens, reasoning } = workload;
  const chunk = (delta: object, made: number, finish_reason: 'stop' | null): NodeChunk => ({
    choices: [{ index: 0, delta, finish_reason }],
    usage: {
      prompt_tokens: promptTokens,
      cached_tokens: 0,
      completion_tokens: made,
      reasoning_tokens: reasoning ? made : 0,
    },
  });
  return [...deltas(workload).map((delta, i) => chunk(delta, i + 1, null)), chunk({}, tokens, 'stop')];
}

function deltas({ tokens, reasoning }: Workload): { content?: string; reasoning_content?: string }[] {
  const text = `${TOKEN} `;
  return Array.from({ length: tokens }, () => (reasoning ? { reasoning_content: text } : { content: text }));
}

export function json(status: number, body: object): Answer {
  const text = JSON.stringify(body);
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}`;
  return [Buffer.from(`HTTP/1.1 ${status} Bench\r\n${headers}\r\n\r\n${text}`)];
}

/** The events of a node's or an engine's stream, and its end. */
export function events(all: readonly object[], workload: Workload): Answer {
  const texts = [...all.map((each) => JSON.stringify(each)), '[DONE]'].map((text) => `data: ${text}\n\n`);
  const perWrite = eventsPerWrite(workload);
  const writes: string[] = [];
  for (let at = 0; at < texts.length; at += perWrite) writes.push(texts.slice(at, at + perWrite).join(''));
  return chunked(writes, EVENT_STREAM);
}

export function eventsPerWrite({ paceMs }: Workload): number {
  return paceMs === null ? EVENTS_PER_WRITE : 1;
}

/** A response of these texts, each a chunk and a write of its own; the first write includes the head. */
export function chunked(texts: readonly string[], headers: Readonly<Record<string, string>>): Answer {
  const lines = Object.entries({ ...headers, 'transfer-encoding': 'chunked' });
  const head = `HTTP/1.1 200 OK\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return texts.map((text, i) => {
    const start = i === 0 ? head : '';
    const end = i === texts.length - 1 ? '0\r\n\r\n' : '';
    return Buffer.from(`${start}${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n${end}`);
  });
}
