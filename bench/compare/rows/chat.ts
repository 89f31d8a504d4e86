import { measureChat } from '../measurement.ts';
import { againstBoth, HISTORY_OFF, HISTORY_PROCESS, HISTORY_SYNC, type Figure, type Row } from '../row.ts';

const PAIRS = 100;

const FIGURES: readonly Figure[] = [
  { key: 'processorUs', label: 'CPU us/message', better: 'less' },
  { key: 'perSecond', label: 'messages/s', better: 'more' },
  { key: 'childrenUs', label: 'of it child processes us', better: 'less', isAside: true },
  { key: 'generatorUs', label: 'generator us/message', better: 'less', isAside: true },
];

const shared = { isFresh: false, figures: () => FIGURES, users: () => PAIRS * 2 } as const;

const NOTE = 'both are online; each message that arrives lets the next one go';

/** Messages between two people, 100 pairs of them. */
export const CHAT_ROWS: readonly Row[] = [
  {
    ...shared,
    id: 'chat-8',
    title: '1:1 chat, 100 pairs, 8 in flight each, plaintext, history off',
    note: NOTE,
    setting: HISTORY_OFF,
    goals: () => [
      { kind: 'ratio', figure: 'processorUs', server: 'ejabberd', times: 12 },
      { kind: 'ratio', figure: 'processorUs', server: 'prosody', times: 8 },
    ],
    measure: (context) => measureChat(context, { pairs: PAIRS, window: 8, security: 'plaintext', pace: 'saturating' }),
  },
  {
    ...shared,
    id: 'chat-1',
    title: '1:1 chat, 100 pairs, one in flight each, plaintext, history off',
    note: NOTE,
    setting: HISTORY_OFF,
    goals: () => againstBoth('processorUs', 5),
    measure: (context) => measureChat(context, { pairs: PAIRS, window: 1, security: 'plaintext', pace: 'saturating' }),
  },
  {
    ...shared,
    id: 'chat-tls',
    title: '1:1 chat, 100 pairs, 8 in flight each, TLS 1.3, history off',
    note: NOTE,
    setting: HISTORY_OFF,
    goals: () => againstBoth('processorUs', 12),
    measure: (context) => measureChat(context, { pairs: PAIRS, window: 8, security: 'direct-tls', pace: 'saturating' }),
  },
  {
    ...shared,
    id: 'history-process',
    title: '1:1 chat, 100 pairs, 8 in flight each, plaintext, history on, durability "process"',
    note: NOTE,
    setting: HISTORY_PROCESS,
    goals: () => againstBoth('processorUs', 20),
    measure: (context) => measureChat(context, { pairs: PAIRS, window: 8, security: 'plaintext', pace: 'saturating' }),
  },
  {
    ...shared,
    id: 'history-sync',
    title: '1:1 chat, 100 pairs, 8 in flight each, plaintext, history on, durability "sync"',
    note: `${NOTE}; the peers never wait for the disk`,
    setting: HISTORY_SYNC,
    goals: () => againstBoth('perSecond', 10),
    measure: (context) => measureChat(context, { pairs: PAIRS, window: 8, security: 'plaintext', pace: 'paced' }),
  },
];
