import type { AccountRecord } from '../account-record.ts';
import type { StoreReader } from '../ordered-store.ts';
import { cursorsOf } from '../message-log.ts';
import { sequenceWrites, sidesOf, type ChatCounter } from '../sequences.ts';
import type { ChatSide } from './chat-side.ts';
import { Explanations } from './explanations.ts';
import type { Finding, Findings } from './finding.ts';
import { SideReader } from './side-reader.ts';
import { isTombstone } from './stored-message.ts';

/** A chat as the first pass has seen it. */
export interface Chat {
  readonly key: string;
  /** Undefined where there is none. */
  counter: ChatCounter | undefined;
  /** What the logs of accounts have of it. */
  readonly sides: ChatSide[];
}

export interface ChatCheckOptions {
  readonly store: StoreReader;
  readonly accounts: ReadonlyMap<string, AccountRecord>;
  readonly findings: Findings;
}

/** Compares counter and sides of one chat; reads its messages again only where the sums of the first pass disagree. */
export async function checkChat(chat: Chat, options: ChatCheckOptions): Promise<void> {
  const { findings, accounts } = options;
  const highest = Math.max(0, ...chat.sides.map(({ last }) => last));
  const { owner, other } = sidesOf(chat.key);
  const counter = chat.counter?.number ?? 0;
  if (counter < highest) {
    const found = chat.counter === undefined ? 'no counter' : `the counter is ${counter}`;
    const side = chat.sides.find(({ last }) => last === highest);
    findings.add(
      {
        fault: 'counter',
        owner,
        peer: other,
        number: highest,
        ...(side !== undefined && { position: side.lastPosition }),
        found,
        expected: `${highest}, the highest number of the chat`,
      },
      sequenceWrites(chat.key, highest, chat.counter?.omissions),
    );
  }
  // The order was found wrong entry by entry, and what follows relies on it.
  if (chat.sides.some(({ isDisordered }) => isDisordered)) return;
  const owners = [...new Set([owner, other])].filter((jid) => accounts.has(jid));
  const last = Math.max(counter, highest);
  for (const side of chat.sides) side.end(last);
  if (await isSound(chat, owners, options)) return;
  for (const fault of await compare(chat, owners, last, options)) findings.add(fault);
}

async function isSound(chat: Chat, owners: readonly string[], options: ChatCheckOptions): Promise<boolean> {
  const { sides } = chat;
  const [one, two] = sides;
  if (one === undefined || sides.length !== owners.length || one.hasMoreGaps) return false;
  if (two !== undefined && !(one.hasNumbersOf(two) && one.checksum.equals(two.checksum))) return false;
  for (const { owner, gaps } of sides) {
    if (gaps.length === 0) continue;
    const explanations = await explanationsOf(owner, chat, options);
    if (!gaps.every((gap) => explanations.cover(gap))) return false;
  }
  return true;
}

async function compare(
  chat: Chat,
  owners: readonly string[],
  last: number,
  options: ChatCheckOptions,
): Promise<Omit<Finding, 'isRepairable'>[]> {
  const { owner, other } = sidesOf(chat.key);
  const readers: SideReader[] = [];
  for (const each of owners) {
    const account = options.accounts.get(each);
    if (account === undefined) continue;
    const explanations = await explanationsOf(each, chat, options);
    const { cursor } = await cursorsOf(options.store, each);
    const peer = each === owner ? other : owner;
    readers.push(new SideReader({ store: options.store, owner: each, peer, account, explanations, cursor }));
  }
  const faults: Omit<Finding, 'isRepairable'>[] = [];
  try {
    for (const reader of readers) await reader.advance();
    for (let expected = 1; expected <= last;) {
      const number = Math.min(last + 1, ...readers.map(({ nextNumber }) => nextNumber));
      if (number > expected) for (const reader of readers) reader.missing(expected, number - 1);
      if (number > last) break;
      const having = readers.filter(({ nextNumber }) => nextNumber === number);
      const entry = having[0]?.head;
      for (const reader of readers) if (!having.includes(reader)) reader.missing(number, number, entry);
      const disagreement = disagreementOf(having, number);
      if (disagreement !== undefined) faults.push(disagreement);
      for (const reader of having) await reader.advance();
      expected = number + 1;
    }
    for (const reader of readers) {
      reader.endRun();
      faults.push(...reader.faults);
    }
    return faults;
  } finally {
    for (const reader of readers) await reader.close();
  }
}

function disagreementOf([one, two]: readonly SideReader[], number: number): Omit<Finding, 'isRepairable'> | undefined {
  const [entry, other] = [one?.head, two?.head];
  if (one === undefined || two === undefined || entry === undefined || other === undefined) return undefined;
  const place = { fault: 'disagreement', owner: one.owner, peer: two.owner, position: entry.position, number } as const;
  const there = `${two.owner} has at ${other.position}`;
  if (entry.flags.sent === other.flags.sent) {
    const found = `both ${entry.flags.sent ? 'sent' : 'received'} it (${there})`;
    return { ...place, found, expected: 'one side sent it, and the other received it' };
  }
  if (entry.stanza === other.stanza || isTombstone(entry) || isTombstone(other)) return undefined;
  let same = 0;
  while (same < entry.stanza.length && entry.stanza[same] === other.stanza[same]) same++;
  const found = `${entry.stanza.length} bytes that differ from byte ${same} on from the ${other.stanza.length} ${there}`;
  return { ...place, found, expected: 'the same message on both sides' };
}

/** Why one side of the chat may lack messages. Rejects with StoreError. */
function explanationsOf(side: string, { key, counter }: Chat, { store }: ChatCheckOptions): Promise<Explanations> {
  const { owner, other } = sidesOf(key);
  const isOwner = side === owner;
  const open = isOwner ? counter?.omissions?.owner : counter?.omissions?.other;
  return Explanations.load(store, side, isOwner ? other : owner, open);
}
