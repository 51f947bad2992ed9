/**
 * Checks the URLs that an account may receive webhooks at. We send from inside Cloudflare's network, so a URL that
 * could point into a private network is refused when it is added, and again at each sending, because the rules may
 * have become stricter in between.
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
/** Allowed ports as `URL` gives them; the scheme's default is empty. Other ports belong to other kinds of services. */
const PORTS = ['', '8443'];

/**
 * @param development allows plain http on loopback at any port: a receiver on the developer's own machine
 * @returns the URL as it is stored, or its fault
 */
export function checkEndpointUrl(text: string, { development }: { development: boolean }): EndpointUrlCheck {
  // The parser also normalises: IPv4 in decimal, hexadecimal, octal or full-width digits comes out dotted decimal.
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
