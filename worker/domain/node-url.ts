/**
 * Validates the address that a node registers for itself. The edge sends customers' prompts there, so an address that
 * could point inside a private network (loopback, link-local, private) is refused before anything is stored.
 */
import { type HostFault, hostFault, isLoopback } from './public-host.ts';

export type NodeUrlFault = 'not_a_url' | 'not_https' | 'has_credentials' | 'has_path_or_query' | HostFault;

export type NodeUrlCheck = { ok: true; origin: string } | { ok: false; fault: NodeUrlFault };

/**
 * @param text the address as the node sent it
 * @param development allows plain http on loopback, for a pool on the developer's machine
 * @returns the origin (scheme, host, port) to store, or the address's fault
 */
export function checkNodeUrl(text: string, { development }: { development: boolean }): NodeUrlCheck {
  // The parser also normalises: decimal, hexadecimal, octal and full-width IPv4 become four decimal numbers.
  const url = URL.parse(text);
  if (url === null) return refused('not_a_url');
  if (url.username !== '' || url.password !== '') return refused('has_credentials');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return refused('has_path_or_query');
  if (development && url.protocol === 'http:' && isLoopback(url.hostname)) {
    return { ok: true, origin: url.origin };
  }
  if (url.protocol !== 'https:') return refused('not_https');
  const fault = hostFault(url.hostname);
  return fault === null ? { ok: true, origin: url.origin } : refused(fault);
}

function refused(fault: NodeUrlFault): NodeUrlCheck {
  return { ok: false, fault };
}
