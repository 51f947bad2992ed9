/**
 * Decides by name or address alone whether a host is on the public internet. A public name that resolves to a private
 * address cannot be seen here, and a Worker cannot look it up and pin it; the platform's egress refuses those.
 */

export type HostFault = 'private_address' | 'private_name' | 'malformed_name';

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host);
}

/**
 * @param host as `URL` gives it: normalised, IPv6 in brackets
 * @returns the reason why it is not public; null: it is
 */
export function hostFault(host: string): HostFault | null {
  if (host.startsWith('[')) return isPublicIpv6(host.slice(1, -1)) ? null : 'private_address';
  if (/^\d+(\.\d+){3}$/.test(host)) return isPublicIpv4(host) ? null : 'private_address';
  return nameFault(host);
}

/** Names that a resolver answers from inside its own network (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal). */
const PRIVATE_SUFFIXES = [
  'localhost',
  'localdomain',
  'local',
  'internal',
  'intranet',
  'private',
  'corp',
  'home',
  'lan',
  'home.arpa',
];

function nameFault(name: string): HostFault | null {
  // A trailing dot makes an empty last label: the same host under a second spelling.
  const labels = name.split('.');
  const wellFormed = labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
  if (!wellFormed) return 'malformed_name';
  if (labels.length < 2) return 'private_name';
  return PRIVATE_SUFFIXES.some((suffix) => name.endsWith(`.${suffix}`)) ? 'private_name' : null;
}

/**
 * Networks [address, prefix bits] that are not globally reachable (IANA's
 * IPv4 special-purpose registry), and multicast.
 */
const SPECIAL_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

function isPublicIpv4(address: string): boolean {
  const value = ipv4Value(address);
  return !SPECIAL_IPV4.some(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(value / size) === Math.floor(ipv4Value(network) / size);
  });
}

function ipv4Value(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

/**
 * Allows global unicast only, 2000::/3. That excludes loopback, unique-local, link-local, IPv4-mapped and NAT64 addresses.
 * Inside it, 2001::/23 (Teredo), 2001:db8::/32, 2002::/16 (6to4) and 3fff::/20 are special-purpose and refused too.
 */
function isPublicIpv6(address: string): boolean {
  const [first = 0, second = 0] = address.split(':', 2).map((part) => Number.parseInt(part || '0', 16));
  if (first < 0x2000 || first > 0x3fff) return false;
  if (first === 0x2001) return second >= 0x0200 && second !== 0x0db8;
  return first !== 0x2002 && !(first === 0x3fff && second < 0x1000);
}
