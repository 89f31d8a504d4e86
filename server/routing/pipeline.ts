import type { Child } from '../../stanzas/frame.ts';
import type { Element } from '../../stanzas/element.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { Jid } from '../../stanzas/jid.ts';
import type { LogPlace } from '../../storage/message-log.ts';
import type { Account } from './account.ts';
import type { LoggedMessage } from './logged-message.ts';
import type { Session } from './session.ts';

/** Thrown by a screen to drop a stanza without a word, where an error would tell the sender too much. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

/**
 * May refuse a stanza by throwing StanzaError, or drop it by throwing Unanswered. A screen that fails otherwise refuses as
 * well: screens fail closed.
 */
export type Screen<Owner> = (stanza: Stanza, owner: Owner) => void | Promise<void>;

/** Edits of the child table: what an amendment may change. */
export interface Edits {
  readonly remove?: (child: Child) => boolean;
  readonly add?: readonly Element[];
}

/** May change a stanza by returning edits. */
export type Amendment<Owner> = (stanza: Stanza, owner: Owner) => Edits | undefined;

/** Does what a presence of its kind asks for; throwing StanzaError answers with an error. */
export type PresenceHandler<Owner> = (stanza: Stanza, owner: Owner) => void | Promise<void>;

/** Whether the account may archive what it exchanges with a contact (XEP-0441). */
export type ArchivingPolicy = (account: Account, contact: Jid) => boolean;

/** A stanza made of a message for one more session of its account. */
export interface Copy {
  readonly to: Session;
  readonly stanza: Stanza;
}

/** Copies a message of an account; `seen` are the sessions that have it anyway, none of which gets a copy. */
export type Copier = (message: LoggedMessage, seen: readonly Session[]) => readonly Copy[];

/** Hears of a message in an account's archive, after the commit. */
export type ArchivedHandler = (account: Account, stanza: Stanza, entry: LogPlace) => void;

/** RFC 6121 4.7.1, with names for the two meanings of an absent type. */
export type SentPresence = 'broadcast' | 'directed' | Subscription | 'probe';
export type ReceivedPresence = Subscription | 'probe';
export type Subscription = 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed';

/**
 * The phases every stanza walks, in this order, and what modules have put into them. There are no priorities: the order
 * within a phase is that of server/module-list.ts.
 *
 * 1. `screenSent` may refuse what an account's own session sends
 * 2. `amendSent` may change it
 * 3. the core routes it (router.ts); presence goes to `presenceSent`
 * 4. `screenReceived` may refuse it on behalf of the recipient
 * 5. `amendReceived` may change it
 * 6. the core answers an IQ (iq-table.ts), gives presence to `presenceReceived`, and for a message
 *    stamps its sequence, records it and delivers it (acceptance.ts); `archiving` may keep it out of the archive
 * 7. `copySent` and `copyReceived` may send it to further sessions of its account
 * 8. `archived` hears of it
 */
export class Pipeline {
  readonly screenSent: Screen<Session>[] = [];
  readonly amendSent: Amendment<Session>[] = [];
  readonly presenceSent = new Map<SentPresence, PresenceHandler<Session>>();
  readonly screenReceived: Screen<Account>[] = [];
  readonly amendReceived: Amendment<Account>[] = [];
  readonly presenceReceived = new Map<ReceivedPresence, PresenceHandler<Account>>();
  /** First-level elements of a bound client that are no stanzas, by namespace; each takes effect before what follows it. */
  readonly elementsSent = new Map<string, (session: Session, name: string) => void>();
  readonly archiving: ArchivingPolicy[] = [];
  readonly copySent: Copier[] = [];
  readonly copyReceived: Copier[] = [];
  readonly archived: ArchivedHandler[] = [];
  /** A resource was bound. */
  readonly sessionBound: ((session: Session) => void)[] = [];
  /** A session has a new stream (XEP-0198 5): what it had missed is on its way. */
  readonly sessionResumed: ((session: Session) => void)[] = [];
  /** A session is over, whichever way its stream ended; it is no longer among the account's sessions. */
  readonly sessionEnded: ((session: Session) => void)[] = [];

  /** What runs, in order, for `posthorn pipeline`. */
  describe(): string[] {
    const names = (phase: string, handlers: readonly { name: string }[]): string[] =>
      handlers.map(({ name }) => `${phase}: ${name}`);
    const table = (phase: string, handlers: ReadonlyMap<string, { name: string }>): string[] =>
      [...handlers].map(([kind, { name }]) => `${phase} ${kind}: ${name}`);
    return [
      ...names('screen sent', this.screenSent),
      ...names('amend sent', this.amendSent),
      ...table('presence sent', this.presenceSent),
      ...names('screen received', this.screenReceived),
      ...names('amend received', this.amendReceived),
      ...table('presence received', this.presenceReceived),
      ...table('element sent', this.elementsSent),
      ...names('archiving', this.archiving),
      ...names('copy sent', this.copySent),
      ...names('copy received', this.copyReceived),
      ...names('archived', this.archived),
      ...names('session bound', this.sessionBound),
      ...names('session resumed', this.sessionResumed),
      ...names('session ended', this.sessionEnded),
    ];
  }
}

/** Runs the screens; returns a promise only if one of them does. Throws or rejects with what a screen threw. */
export function runScreens<Owner>(
  screens: readonly Screen<Owner>[],
  stanza: Stanza,
  owner: Owner,
  first = 0,
): void | Promise<void> {
  for (let index = first; index < screens.length; index++) {
    const pending = screens[index]!(stanza, owner);
    if (pending !== undefined) return pending.then(() => runScreens(screens, stanza, owner, index + 1));
  }
}

/** Applies the amendments. */
export function amend<Owner>(amendments: readonly Amendment<Owner>[], stanza: Stanza, owner: Owner): Stanza {
  let amended = stanza;
  for (const amendment of amendments) {
    const edits = amendment(amended, owner);
    if (edits === undefined) continue;
    if (edits.remove !== undefined) amended = amended.withoutChildren(edits.remove);
    for (const child of edits.add ?? []) {
      amended = amended.withChild(child.name, child.namespace, child.toBytes('jabber:client'));
    }
  }
  return amended;
}
