/** A proxy on loopback that changes what passes through it, a line at a time: what a broken or a lying server would say. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

export interface Tamper {
  readonly url: string;
  close(): void;
}

/** @param change of each line of an answer */
export async function tamperWith(target: string, change: (line: string) => string): Promise<Tamper> {
  const server = createServer((asked, answer) => {
    const { method, headers } = asked;
    const url = new URL(asked.url ?? '/', target);
    const passed = request(url, { method, headers, agent: false }, (given) => {
      const { 'content-length': _, ...kept } = given.headers;
      answer.writeHead(given.statusCode ?? 502, kept);
      const lines = createInterface({ input: given });
      lines.on('line', (line) => answer.write(`${change(line)}\n`));
      lines.on('close', () => answer.end());
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
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
