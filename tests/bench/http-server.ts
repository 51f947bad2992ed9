/**
 * A minimal HTTP/1.1 server on a socket, because node:http would be the bottleneck of the bench. It supports keep-alive
 * with one request at a time per connection, and sends prepared bytes.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Answer } from './answers.ts';

export interface RawRequest {
  readonly path: string;
  /** The request line and the headers. */
  readonly head: string;
  readonly body: Buffer;
}

/** @param paceMs the time between two writes; null: each follows when the socket has taken the one before */
type Handle = (request: RawRequest, answer: (writes: Answer, paceMs?: number | null) => void) => void;

const HEAD_END = Buffer.from('\r\n\r\n');

export function rawServer(handle: Handle): Server {
  return createServer({ noDelay: true }, (socket) => serve(socket, handle));
}

function serve(socket: Socket, handle: Handle): void {
  let chunks: Buffer[] = [];
  let bytes = 0;
  /** The least number of bytes that a whole request can have. */
  let wanted = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    chunks.push(data);
    bytes += data.length;
    while (bytes > 0 && bytes >= wanted) {
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks = [all];
      const parsed = parse(all);
      if (typeof parsed === 'number') {
        wanted = parsed;
        continue;
      }
      const rest = all.subarray(parsed.end);
      chunks = rest.length > 0 ? [rest] : [];
      bytes = rest.length;
      wanted = 0;
      handle(parsed.request, (writes, paceMs = null) => {
        if (paceMs === null) write(socket, writes, 0);
        else writePaced(socket, writes, { at: 0, paceMs, startedMs: performance.now() });
      });
    }
  });
}

/** Starts each write when the socket has taken the one before: written at once they would leave as one. */
function write(socket: Socket, writes: Answer, at: number): void {
  if (socket.destroyed) return;
  if (at === writes.length - 1) socket.write(writes[at]!);
  else socket.write(writes[at]!, () => write(socket, writes, at + 1));
}

/** Writes by a schedule, as an engine does: whoever reads late finds what has piled up meanwhile. */
function writePaced(
  socket: Socket,
  writes: Answer,
  { at, ...schedule }: { at: number; paceMs: number; startedMs: number },
): void {
  if (socket.destroyed) return;
  socket.write(writes[at]!);
  const next = at + 1;
  if (next === writes.length) return;
  const waitMs = schedule.startedMs + next * schedule.paceMs - performance.now();
  setTimeout(() => writePaced(socket, writes, { at: next, ...schedule }), Math.max(0, waitMs));
}

/** @returns the request and its end, or the number of bytes that must have arrived before parsing is tried again */
function parse(all: Buffer): { request: RawRequest; end: number } | number {
  const headEnd = all.indexOf(HEAD_END);
  if (headEnd < 0) return all.length + 1;
  const head = all.toString('latin1', 0, headEnd);
  const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'));
  const start = headEnd + HEAD_END.length;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined && /\r\ntransfer-encoding: *chunked/i.test(head))
    return parseChunked(all, start, path, head);
  const end = start + Number(length ?? 0);
  return all.length < end ? end : { request: { path, head, body: all.subarray(start, end) }, end };
}

function parseChunked(all: Buffer, start: number, path: string, head: string) {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = all.indexOf('\r\n', at);
    if (lineEnd < 0) return all.length + 1;
    const size = Number.parseInt(all.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (all.length < end) return end;
    if (size === 0) return { request: { path, head, body: Buffer.concat(parts) }, end };
    parts.push(all.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}
