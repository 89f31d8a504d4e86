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
  { meaning: 'carbons', posthorn: true, prosody: ['carbons'], ejabberd: ['mod_carboncopy'] },
  { meaning: 'client state', posthorn: true, prosody: ['csi_simple'], ejabberd: ['mod_client_state'] },
  { meaning: 'blocking', posthorn: false, prosody: ['blocklist'], ejabberd: ['mod_blocking', 'mod_privacy'] },
  { meaning: 'PEP', posthorn: false, prosody: ['pep'], ejabberd: ['mod_pubsub'] },
  { meaning: 'vCard', posthorn: false, prosody: ['vcard_legacy'], ejabberd: ['mod_vcard'] },
];

/** The modules a peer loads for what everybody has. */
export function modulesOf(peer: 'prosody' | 'ejabberd'): readonly string[] {
  return FEATURES.filter(({ posthorn }) => posthorn).flatMap((feature) => feature[peer]);
}

/** What `history on` means for the servers, alike. */
export const HISTORY_NOTE =
  'every server archives the message on both sides; Posthorn numbers the chat too, and cannot be asked for its archive yet';
