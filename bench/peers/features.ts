/**
 * What the compared servers do, so that none carries what another lacks. A feature is on in the tuned peers when Posthorn
 * has it; a peer as installed keeps its distribution's list.
 */
export interface Feature {
  readonly meaning: string;
  /** Whether Posthorn has it. */
  readonly posthorn: boolean;
  readonly prosody: readonly string[];
  readonly ejabberd: readonly string[];
}

export const FEATURES: readonly Feature[] = [
  { meaning: 'roster, subscriptions, presence', posthorn: true, prosody: ['roster'], ejabberd: ['mod_roster'] },
  { meaning: 'service discovery', posthorn: true, prosody: ['disco'], ejabberd: ['mod_disco'] },
  { meaning: 'entity capabilities', posthorn: true, prosody: [], ejabberd: ['mod_caps'] },
  { meaning: 'offline messages', posthorn: true, prosody: ['offline'], ejabberd: ['mod_offline'] },
  { meaning: 'acknowledgements (XEP-0198)', posthorn: true, prosody: ['smacks'], ejabberd: ['mod_stream_mgmt'] },
  { meaning: 'private XML', posthorn: true, prosody: ['private'], ejabberd: ['mod_private'] },
  { meaning: 'ping, version, time', posthorn: true, prosody: ['ping', 'version', 'time'], ejabberd: ['mod_version'] },
  { meaning: 'carbons', posthorn: false, prosody: ['carbons'], ejabberd: ['mod_carboncopy'] },
  { meaning: 'blocking', posthorn: false, prosody: ['blocklist'], ejabberd: ['mod_blocking', 'mod_privacy'] },
  { meaning: 'PEP', posthorn: false, prosody: ['pep'], ejabberd: ['mod_pubsub'] },
  { meaning: 'vCard', posthorn: false, prosody: ['vcard_legacy'], ejabberd: ['mod_vcard'] },
];

/** The archive of messages (XEP-0313), which history switches on in the peers. */
export const POSTHORN_HAS_ARCHIVE: boolean = false;

/** The modules a peer loads for what everybody has. */
export function modulesOf(peer: 'prosody' | 'ejabberd'): readonly string[] {
  return FEATURES.filter(({ posthorn }) => posthorn).flatMap((feature) => feature[peer]);
}

/** What `history on` means for each server. */
export function historyNote(): string {
  return POSTHORN_HAS_ARCHIVE
    ? 'both sides are archived in every server'
    : "Posthorn commits the recipient's log entry and the chat's number, and has no archive yet; the peers archive both sides";
}
