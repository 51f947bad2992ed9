/**
 * Which addresses an account may have its webhooks sent to. We send from inside Cloudflare's network, so an address
 * that could point back inside one is refused when it is added, and again at each sending (the rules may have grown).
 */
import { hostFault, isLoopback } from '../../domain/public-host.ts';

export type EndpointUrlFault =
  | 'endpoint_url'
  | 'endpoint_not_https'
  | 'endpoint_credentials'
  | 'endpoint_port'
  | 'endpoint_private';

export type EndpointUrlCheck = { ok: true; url: string } | { ok: false; fault: EndpointUrlFault };

const URL_LENGTH_MAX = 500;
/** As `URL` gives them: the scheme's own is empty. Others belong to services that are no receivers of webhooks. */
const PORTS = ['', '8443'];

/**
 * @param development allows plain http on loopback, any port: a receiver on one's own machine
 * @returns the address as it is stored, or what is wrong with it
 */
export function checkEndpointUrl(text: string, { development }: { development: boolean }): EndpointUrlCheck {
  // The parser also normalises: decimal, hexadecimal, octal and full-width IPv4 come out as four decimal numbers.
  const url = text.length <= URL_LENGTH_MAX ? URL.parse(text) : null;
  if (url === null) return refused('endpoint_url');
  if (url.username !== '' || url.password !== '') return refused('endpoint_credentials');
  url.hash = '';
  const ownMachine = development && url.protocol === 'http:' && isLoopback(url.hostname);
  if (ownMachine) return { ok: true, url: url.href };
  if (url.protocol !== 'https:') return refused('endpoint_not_https');
  if (hostFault(url.hostname) !== null) return refused('endpoint_private');
  return PORTS.includes(url.port) ? { ok: true, url: url.href } : refused('endpoint_port');
}

function refused(fault: EndpointUrlFault): EndpointUrlCheck {
  return { ok: false, fault };
}
