/**
 * An HTTP client on a bare socket. It can disconnect at any byte of the answer, read as slowly as it likes, and keeps
 * every byte that arrived.
 */
import { connect } from 'node:net';

export interface RawRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Disconnects after this many bytes of the answer, its head included; 0: as soon as the request is sent. */
  readonly leaveAfterBytes?: number;
  /** Disconnects this long after the request was sent, or after `leaveFrom`, whatever has arrived. */
  readonly leaveAfterMs?: number;
  readonly leaveFrom?: Promise<unknown>;
  /** How it disconnects: `close` as a program that ends, `reset` as a host that vanishes and comes back. */
  readonly leaveBy?: 'close' | 'reset';
  /** The pause between two reads. */
  readonly restMs?: number;
  /** The client gives up after this long, so that it cannot block its test for ever. */
  readonly patienceMs?: number;
}

export interface RawAnswer {
  /** True when the connection was accepted. */
  readonly connected: boolean;
  /** null: the connection broke before a head arrived */
  readonly status: number | null;
  readonly headers: ReadonlyMap<string, string>;
  /** The part of the body that arrived, without chunk framing. */
  readonly body: string;
  /** True when the body arrived to its proper end. */
  readonly complete: boolean;
  /** True when the client disconnected before that. */
  readonly left: boolean;
  /** True when the client gave up waiting. */
  readonly gaveUp: boolean;
  /** The number of bytes that arrived on the wire. */
  readonly bytes: number;
  readonly sentAtMs: number;
  readonly endedAtMs: number;
}

/** Sends a POST and waits until the answer has ended in any way. Never throws. */
export function rawPost(request: RawRequest): Promise<RawAnswer> {
  const { hostname, port, pathname } = new URL(request.url);
  const { leaveAfterBytes = Number.POSITIVE_INFINITY, patienceMs = 90_000, restMs = 0 } = request;
  const sentAtMs = Date.now();
  return new Promise((resolve) => {
    const socket = connect({ host: hostname === 'localhost' ? '127.0.0.1' : hostname, port: Number(port) });
    const arrived: Buffer[] = [];
    const timers: NodeJS.Timeout[] = [];
    let bytes = 0;
    let connected = false;
    let left = false;
    let gaveUp = false;
    const leave = () => {
      left = true;
      if (request.leaveBy === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    };
    const giveUp = () => {
      gaveUp = true;
      socket.destroy();
    };
    timers.push(setTimeout(giveUp, patienceMs));
    socket.on('connect', () => {
      connected = true;
      socket.write(requestText(request, `${hostname}:${port}`, pathname), () => {
        if (leaveAfterBytes === 0) leave();
      });
      const { leaveAfterMs, leaveFrom = Promise.resolve() } = request;
      if (leaveAfterMs !== undefined) void leaveFrom.then(() => timers.push(setTimeout(leave, leaveAfterMs)));
    });
    socket.on('data', (data) => {
      if (left) return;
      const wanted = data.subarray(0, leaveAfterBytes - bytes);
      arrived.push(wanted);
      bytes += wanted.length;
      if (bytes >= leaveAfterBytes) return leave();
      if (restMs === 0) return;
      socket.pause();
      timers.push(setTimeout(() => socket.resume(), restMs));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const timer of timers) clearTimeout(timer);
      const answer = parseAnswer(Buffer.concat(arrived));
      const ended = { gaveUp, bytes, sentAtMs, endedAtMs: Date.now() };
      resolve({ ...answer, ...ended, connected, left: left && !answer.complete });
    });
  });
}

function requestText({ headers, body }: RawRequest, host: string, path: string): string {
  const all = {
    host,
    connection: 'close',
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

type Parsed = Pick<RawAnswer, 'status' | 'headers' | 'body' | 'complete'>;

/** Parses an answer that may have been cut at any byte. */
export function parseAnswer(bytes: Buffer): Parsed {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return { status: null, headers: new Map(), body: '', complete: false };
  const [statusLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const status = Number(statusLine.split(' ')[1]);
  const rest = bytes.subarray(headEnd + 4);
  if (headers.get('transfer-encoding') === 'chunked') return { status, headers, ...dechunk(rest) };
  const length = Number(headers.get('content-length') ?? 0);
  return { status, headers, body: rest.subarray(0, length).toString(), complete: rest.length >= length };
}

/** Joins the chunks of a body. `complete` is true when the last chunk arrived. */
function dechunk(bytes: Buffer): { body: string; complete: boolean } {
  const parts: Buffer[] = [];
  let at = 0;
  let complete = false;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
    if (size === 0) complete = true;
    if (!(size > 0)) break;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return { body: Buffer.concat(parts).toString(), complete };
}
