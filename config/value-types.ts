import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import * as z from 'zod';

import { tryParseJid } from '../stanzas/jid.ts';

/** What an option may hold: its zod schema, the same in words, and how an environment variable's text becomes one. */
export interface ValueType<T> {
  readonly schema: z.ZodType<T>;
  /** Completes the sentence "must be ...". */
  readonly allowed: string;
  /** The value an environment variable's text stands for; the text itself where it stands for none. */
  readonly fromText: (text: string) => unknown;
  /** The keys of one table, where the value is a list of tables. */
  readonly keys?: readonly string[];
}

const itself = (text: string): string => text;
const numberFrom = (text: string): unknown => (/^-?\d{1,15}$/.test(text) ? Number(text) : text);
const flagFrom = (text: string): unknown => (text === 'true' ? true : text === 'false' ? false : text);

/** A whole number between two bounds, both allowed. */
export function wholeNumber(least: number, most: number): ValueType<number> {
  const allowed = `a whole number from ${least} to ${most}`;
  return {
    schema: z.int({ error: allowed }).min(least, { error: allowed }).max(most, { error: allowed }),
    allowed,
    fromText: numberFrom,
  };
}

/** `true` or `false`. */
export function flag(): ValueType<boolean> {
  const allowed = 'true or false';
  return { schema: z.boolean({ error: allowed }), allowed, fromText: flagFrom };
}

/** The port of a listener; `false` for no such listener. */
export function listenerPort(): ValueType<number | false> {
  const allowed = 'a port from 0 to 65535 (0: any free one), or false for no such listener';
  // A union with one member of the right type reports that member's error, so it needs the same words.
  const port = z.int({ error: allowed }).min(0, { error: allowed }).max(65535, { error: allowed });
  return {
    schema: z.union([port, z.literal(false)], { error: allowed }),
    allowed,
    fromText: (text) => (text === 'false' ? false : numberFrom(text)),
  };
}

/** One of a few words. */
export function choice<const Word extends string>(...words: readonly Word[]): ValueType<Word> {
  const allowed = words
    .map((word) => `"${word}"`)
    .join(', ')
    .replace(/, (?=[^,]*$)/, ' or ');
  return { schema: z.enum(words, { error: allowed }), allowed, fromText: itself };
}

/** Text that passes a test. */
function text(allowed: string, passes: (value: string) => boolean): ValueType<string> {
  return { schema: z.string({ error: allowed }).refine(passes, { error: allowed }), allowed, fromText: itself };
}

/** Text that is rewritten to its one canonical form; `canonical` answers undefined where there is none. */
function canonicalText(allowed: string, canonical: (value: string) => string | undefined): ValueType<string> {
  const schema = z.string({ error: allowed }).transform((value, context) => {
    const found = canonical(value);
    if (found !== undefined) return found;
    context.addIssue({ code: 'custom', message: allowed });
    return z.NEVER;
  });
  return { schema, allowed, fromText: itself };
}

/** The path of a file or folder. */
export function path(what: string): ValueType<string> {
  return text(`the path of ${what}`, (value) => value !== '' && !value.includes('\0'));
}

/** A domain served here, prepared as RFC 7622 3.2 asks. */
export function hostName(): ValueType<string> {
  return canonicalText('a host name such as "capulet.example", or an IP address', hostNameOf);
}

/** A host name, or `*.` before one: what a certificate may be for. */
export function certificateName(): ValueType<string> {
  return canonicalText('a host name such as "capulet.example" or "*.capulet.example"', (value) => {
    const name = hostNameOf(value.replace(/^\*\./, ''));
    return name !== undefined && value.startsWith('*.') ? `*.${name}` : name;
  });
}

/** Of IPv4 and of IPv6. */
export const everyAddress: readonly string[] = ['0.0.0.0', '::'];

/** A numeric IP address to listen on. */
export function ipAddress(): ValueType<string> {
  return text('an IP address such as "127.0.0.1" or "::"', (value) => isIP(value) !== 0);
}

/** A DNS server: its address, and a port where it is not 53. */
export function dnsServer(): ValueType<string> {
  return text('an IP address, or one with a port such as "192.0.2.53:5353" or "[2001:db8::53]:53"', (value) => {
    if (isIP(value) !== 0) return true;
    const [, six, four, port] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(value) ?? [];
    return isIP(six ?? four ?? '') !== 0 && Number(port) > 0 && Number(port) < 65_536;
  });
}

/** An absolute URI. */
export function uri(): ValueType<string> {
  return text('a URI such as "mailto:nurse@capulet.example"', (value) => URL.canParse(value));
}

/** The URL under which clients reach the HTTP listener; '' where they reach it as it is. */
export function publicUrl(): ValueType<string> {
  return text('"" or an http or https URL without query such as "https://chat.capulet.example"', (value) => {
    if (value === '') return true;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && !/[?#]/.test(value) && url.username === '';
  });
}

/** The path of a URL. */
export function urlPath(): ValueType<string> {
  return text('a path such as "/xmpp-websocket"', (value) => /^\/[\w\-.~!$&'()*+,;=:@/]*$/.test(value));
}

/** What an `Origin` header may say. */
export function origin(): ValueType<string> {
  return text(
    '"*" or an origin such as "https://chat.capulet.example"',
    (value) => value === '*' || (/^https?:/.test(value) && URL.canParse(value) && new URL(value).origin === value),
  );
}

/** An OpenSSL cipher list that this machine's OpenSSL understands. */
export function cipherList(): ValueType<string> {
  return text('a cipher list that OpenSSL knows, best first, names joined by ":"', (value) => {
    try {
      createSecureContext({ ciphers: value });
      return value !== '';
    } catch {
      return false;
    }
  });
}

/** A list without repetition. An environment variable gives it joined by commas, or as JSON. */
export function listOf<T>(item: ValueType<T>, plural: string, least = 0): ValueType<T[]> {
  const allowed = `a list of ${least > 0 ? 'one or more ' : ''}${plural}`;
  const schema = z
    .array(item.schema, { error: allowed })
    .min(least, { error: allowed })
    .superRefine((values, context) => {
      for (const [index, value] of values.entries()) {
        if (typeof value !== 'string' || values.indexOf(value) === index) continue;
        context.addIssue({ code: 'custom', path: [index], message: 'named only once', input: value });
      }
    });
  return { schema, allowed, fromText: (given) => listFrom(given, item.fromText) };
}

/** A list of tables that hold exactly these keys. An environment variable gives it as JSON. */
export function tablesOf<Shape extends Record<string, ValueType<unknown>>>(
  shape: Shape,
): ValueType<{ [Key in keyof Shape]: Shape[Key] extends ValueType<infer T> ? T : never }[]> {
  const keys = Object.keys(shape);
  const allowed = `a list of tables with ${keys.join(', ')}`;
  const schemas: { [Key in keyof Shape]: Shape[Key]['schema'] } = mapValues(shape);
  const table = z.strictObject(schemas, { error: `a table with ${keys.join(', ')}` });
  const schema = z.array(table, { error: allowed }) as unknown as z.ZodType<
    { [Key in keyof Shape]: Shape[Key] extends ValueType<infer T> ? T : never }[]
  >;
  return { schema, allowed, keys, fromText: (given) => listFrom(given, itself) };
}

function mapValues<Shape extends Record<string, ValueType<unknown>>>(
  shape: Shape,
): { [Key in keyof Shape]: Shape[Key]['schema'] } {
  return Object.fromEntries(Object.entries(shape).map(([key, type]) => [key, type.schema])) as {
    [Key in keyof Shape]: Shape[Key]['schema'];
  };
}

/** The prepared domainpart that a host name is; undefined where it is none. */
function hostNameOf(value: string): string | undefined {
  if (value.includes('@') || value.includes('/')) return undefined;
  return tryParseJid(value)?.domain;
}

function listFrom(given: string, itemFrom: (text: string) => unknown): unknown {
  if (given.trimStart().startsWith('[')) {
    try {
      return JSON.parse(given) as unknown;
    } catch {
      return given;
    }
  }
  return given
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(itemFrom);
}

/** `host:port`, an IPv6 address in brackets (RFC 6120 4.9.3.19); empty for none. */
export function hostAndPort(): ValueType<string> {
  return text('"host:port", "[IPv6 address]:port" or empty', (value) => value === '' || isHostAndPort(value));
}

function isHostAndPort(value: string): boolean {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/@]{1,255})):(\d{1,5})$/.exec(value) ?? [];
  const isPort = Number(port) >= 1 && Number(port) <= 65_535;
  if (bracketed !== undefined) return isPort && isIP(bracketed) === 6;
  return isPort && plain !== undefined && (isIP(plain) === 4 || tryParseJid(plain)?.domain !== undefined);
}
