import { formFields, formType } from '../../../stanzas/data-form.ts';
import { parseDateTime } from '../../../stanzas/delay.ts';
import { element, type Element } from '../../../stanzas/element.ts';
import { tryParseJid } from '../../../stanzas/jid.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { resultSetRequest, type ResultSetRequest } from '../../../stanzas/result-set.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import type { ArchiveContact } from '../../../storage/message-archive.ts';

/** What of an archive is asked for (XEP-0313 4). */
export interface ArchiveQuery {
  readonly queryId: string | undefined;
  readonly contact: ArchiveContact | undefined;
  /** Microseconds since the epoch, included. */
  readonly start: number | undefined;
  readonly end: number | undefined;
  /** Archive ids, not included. */
  readonly beforeId: string | undefined;
  readonly afterId: string | undefined;
  readonly ids: readonly string[] | undefined;
  readonly set: ResultSetRequest;
  /** Sent from the latest to the earliest (4.4.4). */
  readonly isFlipped: boolean;
}

const NO_FIELDS: ReadonlyMap<string, readonly string[]> = new Map();
const FIELDS = ['with', 'start', 'end', 'before-id', 'after-id', 'ids', 'include-groupchat'] as const;
type Field = (typeof FIELDS)[number];

/** Reads a `<query/>`. Throws StanzaError for what it asks wrongly, or asks of what is not known here. */
export function readQuery(query: Element): ArchiveQuery {
  // 4.6 (XEP-0442): nodes are a matter of publish-subscribe
  if ((query.attribute('node') ?? '') !== '') throw new StanzaError('item-not-found');
  const fields = fieldsOf(query);
  const field = (name: Field): string | undefined => fields.get(name)?.[0];
  const withText = field('with');
  const ids = fields.get('ids');
  return {
    queryId: query.attribute('queryid'),
    contact: withText === undefined ? undefined : contactOf(withText),
    start: timeOf(field('start')),
    end: timeOf(field('end')),
    beforeId: field('before-id'),
    afterId: field('after-id'),
    ids,
    set: resultSetRequest(query),
    isFlipped: query.child('flip-page') !== undefined,
  };
}

/** Whether the result, of which a page is asked for, is the whole archive. */
export function isUnfiltered({ contact, start, end, beforeId, afterId, ids }: ArchiveQuery): boolean {
  return [contact, start, end, beforeId, afterId, ids].every((filter) => filter === undefined);
}

/** 4.1.5: the form of all fields. */
export function queryForm(): Element {
  const types: readonly (readonly [Field, string])[] = [
    ['with', 'jid-single'],
    ['start', 'text-single'],
    ['end', 'text-single'],
    ['before-id', 'text-single'],
    ['after-id', 'text-single'],
    ['include-groupchat', 'boolean'],
  ];
  const hidden = element('value', NS.DATA_FORM, {}, NS.MAM);
  // XEP-0122: any id may be asked for, not one of a list
  const open = element('validate', VALIDATION, { datatype: 'xs:string' }, element('open', VALIDATION));
  return element(
    'x',
    NS.DATA_FORM,
    { type: 'form' },
    element('field', NS.DATA_FORM, { type: 'hidden', var: 'FORM_TYPE' }, hidden),
    ...types.map(([name, type]) => element('field', NS.DATA_FORM, { type, var: name })),
    element('field', NS.DATA_FORM, { type: 'list-multi', var: 'ids' }, open),
  );
}

const VALIDATION = 'http://jabber.org/protocol/xdata-validate';

function fieldsOf(query: Element): ReadonlyMap<string, readonly string[]> {
  const form = query.child('x', NS.DATA_FORM);
  if (form === undefined) return NO_FIELDS;
  const fields = formFields(form);
  // Interop: in a submission the field's type may be left out (XEP-0004 3.2), so what is named FORM_TYPE is it.
  if ((formType(form) ?? fields.get('FORM_TYPE')?.[0]) !== NS.MAM) {
    throw new StanzaError('bad-request', `The FORM_TYPE of the filter is ${NS.MAM}`);
  }
  for (const name of fields.keys()) {
    if (name === 'FORM_TYPE' || FIELDS.some((known) => known === name)) continue;
    // 4.1.5
    throw new StanzaError('feature-not-implemented', `There is no field ${name}`);
  }
  return fields;
}

function contactOf(text: string): ArchiveContact {
  const jid = tryParseJid(text);
  if (jid === undefined) throw new StanzaError('bad-request', 'with is an address');
  return { bare: jid.bare, resource: jid.resource };
}

function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = parseDateTime(text.trim());
  if (time === undefined) throw new StanzaError('bad-request', 'start and end are times of XEP-0082');
  return time;
}
