/**
 * The network of a client address, which is what throttles count: one customer of a provider commands all 2⁶⁴ addresses
 * of an IPv6 /64, and neighbouring IPv4 addresses are easily rented together.
 */

export interface Network {
  /** The /64 or /24 in one spelling, such as `2001:db8:0:1::/64` or `203.0.113.0/24`. */
  readonly prefix: string;
  /** Whether unrelated people may share it: an IPv4 /24 holds offices and carriers, an IPv6 /64 one household. */
  readonly shared: boolean;
}

/** The network of a request without a readable client address; all of them are counted together. */
const UNKNOWN_NETWORK: Network = { prefix: 'unknown', shared: false };

/** The network of an address. IPv4 addresses that are written as IPv6 (mapped, or 6to4) count as IPv4. */
export function networkOf(address: string): Network {
  const groups = address.includes(':') ? ipv6Groups(address) : null;
  if (groups !== null) return ipv6Network(groups);
  const bytes = ipv4Bytes(address);
  return bytes === null ? UNKNOWN_NETWORK : ipv4Network(bytes);
}

/** Whether the address is the client's own machine, which only occurs in development. */
export function isLoopbackAddress(address: string): boolean {
  const { prefix } = networkOf(address);
  return prefix.startsWith('127.') || address === '::1';
}

function ipv4Network(bytes: readonly number[]): Network {
  return { prefix: `${bytes.slice(0, 3).join('.')}.0/24`, shared: true };
}

function ipv6Network(groups: readonly number[]): Network {
  const [first, second, third] = groups as [number, number, number];
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return ipv4Network(bytesOf(groups[6]!, groups[7]!));
  // a 6to4 address (RFC 3056) carries its owner's IPv4 address, and 65,536 networks of /64 below it
  if (first === 0x2002) return ipv4Network(bytesOf(second, third));
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return { prefix: `${prefix.join(':')}::/64`, shared: false };
}

function bytesOf(high: number, low: number): number[] {
  return [high >> 8, high & 255, low >> 8, low & 255];
}

function ipv4Bytes(text: string): number[] | null {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return null;
  const bytes = text.split('.').map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : null;
}

/** The eight groups of an IPv6 address in any spelling; null: it is none. */
function ipv6Groups(text: string): number[] | null {
  // the zone of a link-local address (`%eth0`) names an interface, not a network
  const [address = ''] = text.split('%');
  const [head = '', tail, ...more] = address.split('::');
  if (more.length > 0) return null;
  const before = groupsIn(head);
  const after = groupsIn(tail ?? '');
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  return [...before, ...new Array<number>(missing).fill(0), ...after];
}

/** The groups of a part without `::`. Its last one may be an IPv4 address, which stands for two. */
function groupsIn(part: string): number[] | null {
  if (part === '') return [];
  const groups: number[] = [];
  for (const text of part.split(':')) {
    const bytes = ipv4Bytes(text);
    if (bytes !== null) groups.push(bytes[0]! * 256 + bytes[1]!, bytes[2]! * 256 + bytes[3]!);
    else if (/^[0-9a-f]{1,4}$/i.test(text)) groups.push(Number.parseInt(text, 16));
    else return null;
  }
  return groups;
}
