import { createHash } from 'node:crypto';
import { toByteString } from '../../stanzas/byte-string.ts';
import { formFields, formType } from '../../stanzas/data-form.ts';
import type { Element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';

/** What our capabilities are named under (XEP-0115 4): a name rather than the page the XEP recommends. */
export const CAPABILITIES_NODE = 'urn:posthorn:server';

/** The verification string of a disco#info answer under SHA-1, in base 64 (XEP-0115 5.1). */
export function verificationString(info: Element): string {
  let text = '';
  for (const identity of info.childrenNamed('identity').map(identityText).sort(byOctets)) text += `${identity}<`;
  const features = info.childrenNamed('feature').map((feature) => feature.attribute('var') ?? '');
  for (const feature of features.sort(byOctets)) text += `${feature}<`;
  const forms = info.childrenNamed('x', NS.DATA_FORM).map((form) => ({ form, type: formType(form) }));
  // XEP-0115 5.4 rule 3.6: a form without a hidden FORM_TYPE is ignored
  const typed = forms.filter((entry): entry is { form: Element; type: string } => entry.type !== undefined);
  for (const { form, type } of typed.sort((one, other) => byOctets(one.type, other.type))) {
    text += `${type}<${fieldsText(form)}`;
  }
  return createHash('sha1').update(text, 'utf8').digest('base64');
}

/** The node under which the answer with this verification string is asked for (XEP-0115 6.2). */
export function capabilitiesNode(verification: string): string {
  return `${CAPABILITIES_NODE}#${verification}`;
}

function identityText(identity: Element): string {
  const parts = ['category', 'type', 'xml:lang', 'name'].map((name) => identity.attribute(name) ?? '');
  return parts.join('/');
}

function fieldsText(form: Element): string {
  const fields = [...formFields(form)].filter(([name]) => name !== 'FORM_TYPE');
  fields.sort(([one], [other]) => byOctets(one, other));
  return fields.map(([name, values]) => [name, ...[...values].sort(byOctets)].join('<') + '<').join('');
}

/** XEP-0115 5.1: the `i;octet` collation, which is the order of byte strings; UTF-16 differs beyond the first plane. */
function byOctets(one: string, other: string): number {
  const [first, second] = [toByteString(one), toByteString(other)];
  return first < second ? -1 : first > second ? 1 : 0;
}
