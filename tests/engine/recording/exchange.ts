/** One HTTP exchange with an engine, as it is recorded: status, the headers that its framework sets, frames or body. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';

export interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  /** A text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  /** Default: `user`. */
  readonly key?: 'user' | 'admin' | 'wrong' | 'none';
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** The `data:` of each event of a stream, parsed where it is JSON. */
  readonly frames?: readonly unknown[];
  /** Parsed where it is JSON. */
  readonly body?: unknown;
}

export interface Target {
  readonly url: string;
  readonly keys: { readonly user: string; readonly admin: string };
}

/** A running exchange, for scenarios that do something while it runs. */
export interface Running {
  /** Resolves when so many frames have arrived, or with false when the answer has ended before. */
  frames(count: number): Promise<boolean>;
  readonly answer: Promise<Answer>;
  /** The frames that have arrived until now. */
  seen(): readonly unknown[];
  /** Closes the connection, as a client that leaves; `answer` then has what had come until then. */
  leave(): void;
}

export function exchange(target: Target, ask: Ask): Promise<Answer> {
  return begin(target, ask).answer;
}

export function begin({ url, keys }: Target, { method, path, body, key = 'user' }: Ask): Running {
  const sent = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  const authorization = { user: keys.user, admin: keys.admin, wrong: 'wrong', none: undefined }[key];
  const request = httpRequest(url + path, {
    method: method ?? (sent === undefined ? 'GET' : 'POST'),
    agent: false,
    headers: {
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authorization === undefined ? {} : { authorization: `Bearer ${authorization}` }),
    },
  });
  const frames: unknown[] = [];
  let waiting: Array<{ count: number; resolve(arrived: boolean): void }> = [];
  const arrived = (ended: boolean) => {
    for (const each of waiting)
      if (ended || frames.length >= each.count) each.resolve(frames.length >= each.count);
    waiting = waiting.filter(({ count }) => !ended && frames.length < count);
  };
  let left = false;
  let isOver = false;
  const answer = new Promise<Answer>((resolve, reject) => {
    request.on('response', (response) => {
      readAnswer(response, frames, () => arrived(false)).then(resolve, (error) =>
        left
          ? resolve({ status: response.statusCode ?? 0, headers: headersOf(response), frames })
          : reject(error),
      );
    });
    request.on('error', (error) => (left ? resolve({ status: 0, headers: {}, frames }) : reject(error)));
  }).finally(() => {
    isOver = true;
    arrived(true);
  });
  // A scenario may never look at the answer of a request that it has left.
  answer.catch(() => {});
  request.end(sent);
  return {
    answer,
    frames: (count) =>
      isOver || frames.length >= count
        ? Promise.resolve(frames.length >= count)
        : new Promise((resolve) => waiting.push({ count, resolve })),
    seen: () => frames,
    leave() {
      left = true;
      request.destroy();
    },
  };
}

async function readAnswer(
  response: IncomingMessage,
  frames: unknown[],
  onFrame: () => void,
): Promise<Answer> {
  const status = response.statusCode ?? 0;
  const headers = headersOf(response);
  response.setEncoding('utf8');
  if (headers['content-type']?.startsWith('text/event-stream')) {
    const parser = createParser({
      onEvent({ data }) {
        frames.push(parsed(data));
        onFrame();
      },
    });
    for await (const text of response) parser.feed(text as string);
    return { status, headers, frames };
  }
  let text = '';
  for await (const part of response) text += part as string;
  return { status, headers, body: parsed(text) };
}

/** Headers that say nothing of the engine: time, length, and the connection's own. */
const OWN_OF_A_CONNECTION = [
  'date',
  'content-length',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'server',
];

function headersOf(response: IncomingMessage): Record<string, string> {
  const all = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
  return Object.fromEntries(all.filter(([name]) => !OWN_OF_A_CONNECTION.includes(name)).sort());
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
