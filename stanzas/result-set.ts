import { element, type Element } from './element.ts';
import { NS } from './namespaces.ts';
import { StanzaError } from './stanza-error.ts';

/** Which part of a result is asked for (XEP-0059). */
export interface ResultSetRequest {
  /** The most items; undefined where it does not matter. */
  readonly max: number | undefined;
  /** Behind the item of this id. */
  readonly after: string | undefined;
  /** The last items before that of this id; '' for the last of all. */
  readonly before: string | undefined;
}

/** What a request says of its result set. Throws StanzaError for a set that makes no sense, or asks for an index (2.6). */
export function resultSetRequest(request: Element): ResultSetRequest {
  const set = request.child('set', NS.RESULT_SET);
  if (set?.child('index') !== undefined) throw new StanzaError('feature-not-implemented', 'Pages have no index here');
  const max = set?.child('max')?.text.trim();
  if (max !== undefined && !/^\d{1,9}$/.test(max)) throw new StanzaError('bad-request', 'max is a number');
  return {
    max: max === undefined ? undefined : Number(max),
    after: set?.child('after')?.text,
    before: set?.child('before')?.text,
  };
}

/**
 * The part that is answered: the ids of its first and last item; neither where it is empty.
 * @param count how many items the whole result has, where that is known (2.7)
 */
export function resultSet(first: string | undefined, last: string | undefined, count?: number): Element {
  const total = count === undefined ? [] : [element('count', NS.RESULT_SET, {}, String(count))];
  if (first === undefined || last === undefined) return element('set', NS.RESULT_SET, {}, ...total);
  const items = [element('first', NS.RESULT_SET, {}, first), element('last', NS.RESULT_SET, {}, last)];
  return element('set', NS.RESULT_SET, {}, ...items, ...total);
}
