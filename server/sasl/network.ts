import { isIPv6 } from 'node:net';

/**
 * The network a remote address stands for when strangers are counted: an IPv4 address by itself, the /64 of an IPv6
 * address (one customer has at least that many), IPv4 for an IPv4-mapped address; anything else as it is.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address; // what isIPv6 would find out by a long expression
  const [unzoned = ''] = address.split('%', 1);
  if (!isIPv6(unzoned)) return address;
  const groups = groupsOf(unzoned);
  // RFC 4291 2.5.5.2: ::ffff:192.0.2.1
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight groups of a valid IPv6 address (RFC 4291 2.2). */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const front = parseGroups(head);
  if (tail === undefined) return front;
  const back = parseGroups(tail);
  return [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function parseGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
