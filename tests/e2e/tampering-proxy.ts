/** A proxy on loopback that changes each line of a response, as a broken or lying server would have sent it. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

export interface TamperingProxy {
  readonly url: string;
  close(): void;
}

/** @param change maps each line of a response */
export async function startTamperingProxy(
  target: string,
  change: (line: string) => string,
): Promise<TamperingProxy> {
  const server = createServer((incoming, answer) => {
    const { method, headers } = incoming;
    const url = new URL(incoming.url ?? '/', target);
    const forwarded = request(url, { method, headers, agent: false }, (upstream) => {
      const { 'content-length': _, ...kept } = upstream.headers;
      answer.writeHead(upstream.statusCode ?? 502, kept);
      const lines = createInterface({ input: upstream });
      lines.on('line', (line) => answer.write(`${change(line)}\n`));
      lines.on('close', () => answer.end());
    });
    forwarded.on('error', () => answer.destroy());
    answer.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
