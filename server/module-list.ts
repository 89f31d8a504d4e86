import type { Module } from './module.ts';
import { capabilities } from './modules/capabilities.ts';
import { clientState } from './modules/client-state.ts';
import { carbons } from './modules/carbons/carbons.ts';
import { components } from './modules/components.ts';
import { contactAddresses } from './modules/contact-addresses.ts';
import { delegation } from './modules/delegation.ts';
import { disco } from './modules/disco.ts';
import { messageArchive } from './modules/message-archive/message-archive.ts';
import { offline } from './modules/offline.ts';
import { ping } from './modules/ping.ts';
import { presence } from './modules/presence.ts';
import { privilegedEntity } from './modules/privileged-entity.ts';
import { privateXml } from './modules/private-xml.ts';
import { roster } from './modules/roster.ts';
import { session } from './modules/session.ts';
import { subscriptions } from './modules/subscriptions.ts';
import { time } from './modules/time.ts';
import { version } from './modules/version.ts';

/** The modules in the order in which they are set up, which is the order of their handlers within a phase. */
export const MODULES: readonly Module[] = [
  roster, // first, so that an account's roster is in memory before anybody asks for it
  subscriptions,
  presence,
  offline,
  messageArchive,
  carbons,
  disco, // describes what the modules around it declare; asked only once all are set up
  capabilities,
  contactAddresses,
  components,
  privilegedEntity,
  delegation,
  ping,
  version,
  time,
  privateXml,
  session,
  clientState,
];
