import type { Config } from '../../config/options.ts';
import { Jid, JidError } from '../../stanzas/jid.ts';
import { CommandError } from './exit-codes.ts';

/**
 * The bare JID an operator means: a name without @ is of the first domain.
 * @throws CommandError `usage` where it is no account's address or its domain is not served here
 */
export function accountAddress(text: string, config: Config): string {
  const jid = parseAddress(text.includes('@') ? text : `${text}@${config.domains[0] ?? ''}`);
  if (jid.local === '' || !jid.isBare) {
    throw new CommandError('usage', 'an account is written as name@domain, without anything behind the domain');
  }
  if (!config.domains.includes(jid.domain)) {
    throw new CommandError(
      'usage',
      `the domain ${jid.domain} is not served here: use one of ${config.domains.join(', ')}, or add it to "domains"`,
    );
  }
  return jid.bare;
}

/** Any address. @throws CommandError `usage` where it is none */
export function parseAddress(text: string): Jid {
  try {
    return Jid.parse(text);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
    throw new CommandError('usage', `this is no address: ${error.message}`, { cause: error });
  }
}
