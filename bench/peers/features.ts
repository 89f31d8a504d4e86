import type { Setting } from './peer.ts';

/**
 * What the compared servers do, so that none carries what another lacks. A feature is on in the tuned peers when Posthorn
 * has it; a peer as installed keeps its distribution's list. The archive is not among them: the setting of a row turns it
 * on or off in all servers, as installed too.
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

/** What a setting means for all servers alike; every row states it. */
export function settingText({ history }: Setting): string {
  const archive = history
    ? 'archive (MAM) on in all servers, and every message archived on both sides; Posthorn numbers the chat besides'
    : 'archive (MAM) off in all servers: messages to who is online are neither stored nor numbered';
  return `${archive}; carbons, client state and acknowledgements on in all, and used by none of these clients`;
}
