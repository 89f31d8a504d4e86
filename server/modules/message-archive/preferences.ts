import { parseElement, element, type Element } from '../../../stanzas/element.ts';
import { tryParseJid, type Jid } from '../../../stanzas/jid.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';

export type ArchivingDefault = 'always' | 'roster' | 'never';

/** What an account wants archived (XEP-0441 2.1). JIDs are prepared, bare or full. */
export interface ArchivePreferences {
  readonly default: ArchivingDefault;
  readonly always: ReadonlySet<string>;
  readonly never: ReadonlySet<string>;
}

const NOBODY: ReadonlySet<string> = new Set();

export function defaultPreferences(byDefault: ArchivingDefault): ArchivePreferences {
  return { default: byDefault, always: NOBODY, never: NOBODY };
}

/** Whether what is exchanged with a contact is archived (2.3); the more exact of two entries counts. */
export function allows(preferences: ArchivePreferences, contact: Jid, isInRoster: () => boolean): boolean {
  for (const jid of [contact.full, contact.bare]) {
    if (preferences.never.has(jid)) return false;
    if (preferences.always.has(jid)) return true;
  }
  return preferences.default === 'always' || (preferences.default === 'roster' && isInRoster());
}

/** Reads a `<prefs/>`. Throws StanzaError for what makes no sense and for more than `maxContacts`. */
export function readPreferences(prefs: Element, maxContacts: number): ArchivePreferences {
  const byDefault = prefs.attribute('default');
  if (byDefault !== 'always' && byDefault !== 'roster' && byDefault !== 'never') {
    throw new StanzaError('bad-request', 'The default is always, roster or never');
  }
  const [always, never] = [contactsOf(prefs, 'always'), contactsOf(prefs, 'never')];
  if (always.size + never.size > maxContacts) {
    throw new StanzaError('policy-violation', `At most ${maxContacts} contacts`);
  }
  return { default: byDefault, always, never };
}

/** 2.1: both lists are always there. */
export function preferencesElement(preferences: ArchivePreferences): Element {
  const list = (name: string, jids: ReadonlySet<string>): Element =>
    element(name, NS.MAM, {}, ...[...jids].map((jid) => element('jid', NS.MAM, {}, jid)));
  return element(
    'prefs',
    NS.MAM,
    { default: preferences.default },
    list('always', preferences.always),
    list('never', preferences.never),
  );
}

/** The preferences as they are stored, a byte string. */
export function storedPreferences(preferences: ArchivePreferences): string {
  return preferencesElement(preferences).toBytes();
}

/** Throws for what `storedPreferences` cannot have written. */
export function restorePreferences(stored: string): ArchivePreferences {
  return readPreferences(parseElement(stored), Infinity);
}

function contactsOf(prefs: Element, name: string): ReadonlySet<string> {
  const jids = prefs.child(name)?.childrenNamed('jid') ?? [];
  return new Set(
    jids.map(({ text }) => {
      const jid = tryParseJid(text.trim());
      if (jid === undefined) throw new StanzaError('jid-malformed', `In the list ${name} is what is no address`);
      return jid.full;
    }),
  );
}
