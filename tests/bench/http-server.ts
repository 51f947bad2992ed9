/**
 * As little of an HTTP/1.1 server as the systems under test need, on a socket: node:http would be the bottleneck of the
 * bench itself. Keep-alive, one request after another on a connection, answers that are bytes already.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Answer } from './answers.ts';

export interface RawRequest {
  readonly path: string;
  /** request line and headers */
  readonly head: string;
  readonly body: Buffer;
}

type Handle = (request: RawRequest, answer: (writes: Answer) => void) => void;

const HEAD_END = Buffer.from('\r\n\r\n');

export function rawServer(handle: Handle): Server {
  return createServer({ noDelay: true }, (socket) => serve(socket, handle));
}

function serve(socket: Socket, handle: Handle): void {
  let pieces: Buffer[] = [];
  let bytes = 0;
  /** before so many there is no whole request */
  let wanted = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    pieces.push(data);
    bytes += data.length;
    while (bytes > 0 && bytes >= wanted) {
      const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      pieces = [all];
      const parsed = parse(all);
      if (typeof parsed === 'number') {
        wanted = parsed;
        continue;
      }
      const rest = all.subarray(parsed.end);
      pieces = rest.length > 0 ? [rest] : [];
      bytes = rest.length;
      wanted = 0;
      handle(parsed.request, (writes) => write(socket, writes, 0));
    }
  });
}

/** One after the other as the socket takes them: written at once they would leave as one. */
function write(socket: Socket, writes: Answer, at: number): void {
  if (socket.destroyed) return;
  if (at === writes.length - 1) socket.write(writes[at]!);
  else socket.write(writes[at]!, () => write(socket, writes, at + 1));
}

/** @returns the bytes that there have to be before it is worth looking again */
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
