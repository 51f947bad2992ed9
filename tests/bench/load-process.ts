/** The load generator's process: connections that send without pause, for a time or for a number of requests. */
import { setTimeout as wait } from 'node:timers/promises';
import { answerCalls, note } from './child.ts';
import { type LoadOrder, type LoadResult, type Spread, UNIQUE } from './load.ts';
import { Connection, type Sample } from './load-connection.ts';
import { answerMs } from './workloads.ts';

answerCalls({ run });

async function run(order: LoadOrder): Promise<LoadResult> {
  const { port, path, headers, keys, workload, connections, seconds, warmUpSeconds } = order;
  const { requests = Number.POSITIVE_INFINITY } = order;
  const requestsByKey = keys.map((key) => requestBytes({ port, path, headers, key, body: order.body }));
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(port, workload)));
  const samples: Sample[] = [];
  let sent = 0;
  let failure: Error | null = null;
  note('begun');
  const startedMs = performance.now() + warmUpSeconds * 1_000;
  const endMs = startedMs + seconds * 1_000;
  let answered = 0;
  const ask = async (connection: Connection, i: number) => {
    // Streams of an engine do not begin together: connections start spread over the time of one answer.
    await wait((i / connections) * answerMs(workload));
    try {
      while (failure === null && sent < requests && performance.now() < endMs) {
        const isMeasured = performance.now() >= startedMs;
        const sample = await connection.ask(unique(requestsByKey[sent++ % requestsByKey.length]!));
        answered += 1;
        if (isMeasured) samples.push(sample);
      }
    } catch (error) {
      failure ??= error as Error;
    }
  };
  await Promise.all(open.map(ask));
  const tookMs = performance.now() - startedMs;
  for (const connection of open) connection.close();
  if (failure) throw failure as Error;
  return {
    answered,
    requests: samples.length,
    seconds: tookMs / 1_000,
    tokens: samples.length * workload.tokens,
    totalMs: spread(samples.map((sample) => sample.totalMs)),
    firstMs: spread(samples.map((sample) => sample.firstMs)),
  };
}

function requestBytes(
  request: Pick<LoadOrder, 'port' | 'path' | 'headers'> & { key: string; body: string },
): Buffer {
  const { port, path, headers, key, body } = request;
  const all = {
    host: `127.0.0.1:${port}`,
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}

let uniques = Date.now();

/** Fills the place for a text of its own, if the request has one. */
function unique(request: Buffer): Buffer {
  const at = request.indexOf(UNIQUE);
  if (at < 0) return request;
  const filled = Buffer.from(request);
  filled.write(String(uniques++).padStart(UNIQUE.length, '0'), at, 'latin1');
  return filled;
}

function spread(values: number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}
