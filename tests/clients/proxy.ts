/** A proxy before the edge that keeps every exchange of a client with it. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import type { RawAnswer } from './outcome.ts';

export interface RawExchange {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly answer: RawAnswer;
}

export interface RecordingProxy {
  readonly url: string;
  /** The exchanges since the last call, in the order in which they began. */
  take(): RawExchange[];
  close(): Promise<void>;
}

/** @param onAnswer is awaited before the end of an answer goes to the client */
export async function startProxy(
  target: string,
  onAnswer: (answer: RawAnswer) => Promise<void>,
): Promise<RecordingProxy> {
  let kept: Array<RawExchange | null> = [];
  const server = createServer((req, res) => {
    const [list, at] = [kept, kept.push(null) - 1];
    exchange(target, { req, res, onAnswer }).then(
      (done) => {
        list[at] = done;
      },
      () => res.destroy(),
    );
  });
  await listening(server);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = kept.filter((each) => each !== null);
      kept = [];
      return taken;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => void server.listen(0, '127.0.0.1', () => resolve()));
}

async function exchange(
  target: string,
  {
    req,
    res,
    onAnswer,
  }: { req: IncomingMessage; res: ServerResponse; onAnswer: (answer: RawAnswer) => Promise<void> },
): Promise<RawExchange> {
  const sent = await bytesOf(req);
  const upstream = request(target + req.url, {
    method: req.method,
    headers: { ...req.headers, host: new URL(target).host },
  });
  res.on('close', () => {
    if (!res.writableFinished) upstream.destroy();
  });
  upstream.end(sent);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    upstream.on('response', resolve).on('error', reject);
  });
  res.writeHead(answer.statusCode!, answer.headers);
  const parts: Buffer[] = [];
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part);
    res.write(part);
  }
  const raw: RawAnswer = {
    status: answer.statusCode!,
    type: answer.headers['content-type'] ?? '',
    text: decoded(Buffer.concat(parts), answer.headers['content-encoding']),
  };
  await onAnswer(raw);
  res.end();
  return {
    method: req.method!,
    path: req.url!,
    headers: Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)])),
    body: decoded(sent, req.headers['content-encoding']),
    answer: raw,
  };
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

function decoded(bytes: Buffer, encoding: string | undefined): string {
  if (bytes.length === 0) return '';
  switch (encoding) {
    case 'gzip':
      return gunzipSync(bytes).toString('utf8');
    case 'br':
      return brotliDecompressSync(bytes).toString('utf8');
    case 'zstd':
      return zstdDecompressSync(bytes).toString('utf8');
    case 'deflate':
      return inflateSync(bytes).toString('utf8');
    default:
      return bytes.toString('utf8');
  }
}
