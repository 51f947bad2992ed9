/** Addresses on which the agent listens. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StartRefused } from './start-refused.ts';

export interface ListenAddress {
  host: string;
  port: number;
}

/**
 * Parses the `host:port` that the option `flag` gave. With port 0 an enrolled node takes the port of its `saved`
 * address, which is the only one that the edge knows.
 */
export function parseListen(flag: string, text: string, saved?: string): ListenAddress {
  const url = /^\d+$/.test(text) ? URL.parse(`http://127.0.0.1:${text}`) : URL.parse(`http://${text}`);
  const match = /:(\d+)$/.exec(text) ?? /^(\d+)$/.exec(text);
  if (url === null || match === null) {
    throw new StartRefused(
      'bad_option',
      `${flag} ${text} is not a valid address: write it like 127.0.0.1:8700.`,
    );
  }
  const port = Number(match[1]);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: port === 0 && saved !== undefined ? Number(/\d+$/.exec(saved)?.[0] ?? 0) : port };
}

/** Starts listening. @throws StartRefused where the address that the option `flag` gave cannot be used */
export function listen(server: Server, flag: string, { host, port }: ListenAddress): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use' : 'cannot be used';
      reject(
        new StartRefused('listen_failed', `${host}:${port} ${reason}: choose another address with ${flag}.`),
      );
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

export function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
