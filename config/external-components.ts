import * as z from 'zod';

import type { Contradiction } from './consistency.ts';
import type { Config } from './options.ts';
import { choice, flag, hostName, path, type ValueType } from './value-types.ts';

/** Which requests of a namespace are meant. */
export type RequestTypes = 'none' | 'get' | 'set' | 'both';

/** An external component (XEP-0114), and what it may do for the accounts of the domain it is below (XEP-0356). */
export interface ExternalComponent {
  readonly domain: string;
  /** A file of mode 0600 with the secret; '' where it is in the environment. */
  readonly secret_file: string;
  /** The environment variable that holds the secret; '' where a file does. */
  readonly secret_environment: string;
  /** As service discovery lists it; '' for what the component says itself. */
  readonly name: string;
  /** When it connects while it is connected: the newer stream takes over, or is refused. */
  readonly conflict: 'replace' | 'refuse';
  readonly roster: RequestTypes;
  /** Whether it hears of changes to rosters; undefined: where it may read them. */
  readonly roster_push?: boolean | undefined;
  readonly message: 'none' | 'outgoing';
  readonly presence: 'none' | 'managed_entity' | 'roster';
  readonly iq: readonly { readonly namespace: string; readonly type: RequestTypes }[];
  /** Requests that it answers in place of the server (XEP-0355): those whose payload has all the attributes. */
  readonly delegated: readonly { readonly namespace: string; readonly attributes: readonly string[] }[];
}

const MAX_NAME_LENGTH = 1023;

/** A namespace or name: some text. */
function words(allowed: string) {
  const fits = (value: string): boolean => value !== '' && value.length <= MAX_NAME_LENGTH && !/[\0-\x1f]/.test(value);
  return z.string({ error: allowed }).refine(fits, { error: allowed });
}

/** The name of an environment variable that is no option of ours. */
function variable() {
  const error = 'the name of an environment variable that does not begin with POSTHORN_';
  return z.string({ error }).regex(/^(?!POSTHORN_)[A-Z_][A-Z0-9_]*$/, { error });
}

const requestTypes = choice('none', 'get', 'set', 'both').schema;
const namespace = words('a namespace such as "http://jabber.org/protocol/pubsub"');

const TABLE = {
  domain: hostName().schema,
  secret_file: path('a file of mode 0600 with the secret').schema.or(z.literal('')).default(''),
  secret_environment: variable().or(z.literal('')).default(''),
  name: words('a name').or(z.literal('')).default(''),
  conflict: choice('replace', 'refuse').schema.default('replace'),
  roster: requestTypes.default('none'),
  roster_push: flag().schema.optional(),
  message: choice('none', 'outgoing').schema.default('none'),
  presence: choice('none', 'managed_entity', 'roster').schema.default('none'),
  iq: z
    .array(z.strictObject({ namespace, type: requestTypes }), { error: 'a list of tables with namespace, type' })
    .default([]),
  delegated: z
    .array(z.strictObject({ namespace, attributes: z.array(words('the name of an attribute')).default([]) }), {
      error: 'a list of tables with namespace, attributes',
    })
    .default([]),
};

/** A list of external components. An environment variable gives it as JSON. */
export function externalComponents(): ValueType<ExternalComponent[]> {
  const keys = Object.keys(TABLE);
  const allowed = `a list of tables with domain, secret_file or secret_environment, and optionally ${keys.slice(3).join(', ')}`;
  return {
    schema: z.array(z.strictObject(TABLE, { error: `a table with ${keys.join(', ')}` }), { error: allowed }),
    allowed,
    keys,
    fromText: (given) => {
      try {
        return JSON.parse(given) as unknown;
      } catch {
        return given;
      }
    },
  };
}

/** Whether requests of this type are among these. */
export function includesRequest(types: RequestTypes, type: 'get' | 'set'): boolean {
  return types === type || types === 'both';
}

/** Components that contradict themselves, each other or the domains. */
export function componentContradictions(
  { components, domains }: Config,
  sound: (path: string) => boolean,
): Contradiction[] {
  if (!sound('components.external')) return [];
  const found: Contradiction[] = [];
  const delegated = new Set<string>();
  for (const [index, component] of components.external.entries()) {
    const at = (key: string): string[] => ['components', 'external', String(index), key];
    const { domain, roster, presence } = component;
    if (sound('domains') && domains.includes(domain)) {
      found.push({ path: at('domain'), found: domain, allowed: 'a domain of its own, none of domains' });
    }
    if (components.external.findIndex((other) => other.domain === domain) < index) {
      found.push({ path: at('domain'), found: domain, allowed: 'named only once' });
    }
    if ((component.secret_file === '') === (component.secret_environment === '')) {
      const allowed = 'set, or secret_environment in its place, and not both';
      found.push({ path: at('secret_file'), found: component.secret_file, allowed });
    }
    for (const { namespace: name } of component.delegated) {
      // XEP-0355, business rule 5
      const allowed = name === 'urn:xmpp:delegation:2' ? 'another namespace' : 'a namespace that is delegated once';
      if (name === 'urn:xmpp:delegation:2' || delegated.has(name)) {
        found.push({ path: at('delegated'), found: name, allowed });
      }
      delegated.add(name);
    }
    if (includesRequest(roster, 'get')) continue;
    // XEP-0356, "Roster Presence" and "Server Sends Roster Pushes"
    if (presence === 'roster') {
      found.push({ path: at('presence'), found: presence, allowed: 'another where roster is not "get" or "both"' });
    }
    if (component.roster_push === true) {
      found.push({ path: at('roster_push'), found: true, allowed: 'false where roster is not "get" or "both"' });
    }
  }
  return found;
}
