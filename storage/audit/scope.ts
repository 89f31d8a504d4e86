/** How much is audited: a chat, an account with its chats, or everything. */
export interface AuditScope {
  /** Whether logs of others are read for their side of a chat. */
  readonly mayHavePeers: boolean;
  /** Whether everything of this owner is looked at. */
  hasOwner(owner: string): boolean;
  /** Whether the chat between these two is looked at. */
  hasChat(one: string, other: string): boolean;
}

export const WHOLE_STORE: AuditScope = { mayHavePeers: false, hasOwner: () => true, hasChat: () => true };

/** @param jid bare */
export function accountScope(jid: string): AuditScope {
  return {
    mayHavePeers: true,
    hasOwner: (owner) => owner === jid,
    hasChat: (one, other) => one === jid || other === jid,
  };
}

/** @param first, second bare, or one of them the full JID of an occupant of a room */
export function chatScope(first: string, second: string): AuditScope {
  return {
    mayHavePeers: true,
    hasOwner: () => false,
    hasChat: (one, other) => (one === first && other === second) || (one === second && other === first),
  };
}
