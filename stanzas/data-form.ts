import { element, type Element } from './element.ts';
import { NS } from './namespaces.ts';

/** A field of a data form and its values, in their order (XEP-0004 3.2). */
export interface FormField {
  readonly name: string;
  readonly values: readonly string[];
  /** The field's type, such as `list-multi`; a form of type `result` may leave it out (XEP-0004 3.2). */
  readonly type?: string;
}

/** A data form of type `result` under its FORM_TYPE, the fields in the order given (XEP-0004 3.1, XEP-0068 3). */
export function resultForm(formType: string, fields: readonly FormField[]): Element {
  const all = [{ name: 'FORM_TYPE', type: 'hidden', values: [formType] }, ...fields];
  return element('x', NS.DATA_FORM, { type: 'result' }, ...all.map(fieldElement));
}

/** The values of every named field of a form; of two fields with one name the first counts. */
export function formFields(form: Element): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, readonly string[]>();
  for (const field of form.childrenNamed('field')) {
    const name = field.attribute('var');
    if (name === undefined || fields.has(name)) continue;
    fields.set(
      name,
      field.childrenNamed('value').map(({ text }) => text),
    );
  }
  return fields;
}

/** The form's FORM_TYPE; undefined where it has none, or one that is not hidden (XEP-0068 3, XEP-0115 5.4). */
export function formType(form: Element): string | undefined {
  const field = form.childrenNamed('field').find((candidate) => candidate.attribute('var') === 'FORM_TYPE');
  return field?.attribute('type') === 'hidden' ? field.child('value')?.text : undefined;
}

function fieldElement({ name, type, values }: FormField): Element {
  const nodes = values.map((value) => element('value', NS.DATA_FORM, {}, value));
  return element('field', NS.DATA_FORM, { var: name, type }, ...nodes);
}
