// Derives precis-tables.ts from the Unicode that Node and tr46 carry: `npx tsx stanzas/make-precis-tables.ts`. Run by
// hand, and only to take up a newer Unicode: an address that was valid must stay so, or its account is locked out.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { BidiClass } from './bidi-rule.ts';
import { encodeCodePoints } from './code-point-table.ts';
import type { JoiningClass, ScriptClass, ViramaClass } from './contextual-rules.ts';
import type { PrecisClass } from './precis.ts';

// RFC 5892 2.6, which RFC 8264 9.6 takes over
const EXCEPTIONS: readonly (readonly [PrecisClass, string])[] = [
  ['P', '\u00DF\u03C2\u06FD\u06FE\u0F0B\u3007'],
  ['O', '\u00B7\u0375\u05F3\u05F4\u30FB'],
  ['O', '\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669'],
  ['O', '\u06F0\u06F1\u06F2\u06F3\u06F4\u06F5\u06F6\u06F7\u06F8\u06F9'],
  ['D', '\u0640\u07FA\u302E\u302F\u3031\u3032\u3033\u3034\u3035\u303B'],
];

const LETTER_DIGITS = /^[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]$/u; // RFC 8264 9.1
const UNASSIGNED = /^(?!\p{Noncharacter_Code_Point})\p{Cn}$/u; // 9.10; BackwardCompatible (9.7) is empty
const ASCII7 = /^[\x21-\x7e]$/; // 9.11
const JOIN_CONTROL = /^\p{Join_Control}$/u; // 9.8
// 9.9: Hangul_Syllable_Type L, V or T, which Unicode has kept in these ranges since 5.2
const OLD_HANGUL_JAMO = /^[\u1100-\u11FF\uA960-\uA97C\uD7B0-\uD7C6\uD7CB-\uD7FB]$/;
const IGNORABLE = /^[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]$/u; // 9.13
const CONTROLS = /^\p{Cc}$/u; // 9.12
// 9.18 OtherLetterDigits, 9.14 Spaces, 9.15 Symbols, 9.16 Punctuation
const FREEFORM_ONLY = /^[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{Sm}\p{Sc}\p{Sk}\p{So}\p{P}]$/u;

/** The derived property value of a code point; the order of the steps is that of RFC 8264 8. */
export function precisClass(codePoint: number): PrecisClass {
  const character = String.fromCodePoint(codePoint);
  for (const [value, characters] of EXCEPTIONS) if (characters.includes(character)) return value;
  if (UNASSIGNED.test(character)) return 'U';
  if (ASCII7.test(character)) return 'P';
  if (JOIN_CONTROL.test(character)) return 'J';
  if (OLD_HANGUL_JAMO.test(character)) return 'D';
  if (IGNORABLE.test(character)) return 'D';
  if (CONTROLS.test(character)) return 'D';
  if (character.normalize('NFKC') !== character) return 'F'; // HasCompat, RFC 8264 9.17
  if (LETTER_DIGITS.test(character)) return 'P';
  return FREEFORM_ONLY.test(character) ? 'F' : 'D';
}

// JavaScript has no class for Bidi_Class, Joining_Type and Canonical_Combining_Class; tr46 carries expressions made
// from them, and asked with one code point beside known ones they give exactly the sets that the rules need.
const carried = createRequire(import.meta.url)('tr46/lib/regexes.js') as Readonly<Record<string, unknown>>;

function matches(name: string, text: string): boolean {
  const expression = carried[name];
  if (!(expression instanceof RegExp)) throw new Error(`tr46 no longer carries ${name}`);
  return expression.test(text);
}

/** The Bidi class, as far as RFC 5893 2 tells them apart. */
export function bidiClass(codePoint: number): BidiClass {
  const character = String.fromCodePoint(codePoint);
  if (matches('bidiS1LTR', character)) return 'L';
  if (matches('bidiS1RTL', character)) return 'R';
  if (matches('bidiS4AN', character)) return 'A';
  if (matches('bidiS4EN', character)) return 'E';
  if (matches('bidiS6', `a${character}`)) return 'M'; // condition 6: L or EN, then only NSM
  return matches('bidiS5', character) ? 'N' : 'X';
}

/** The joining type, as far as RFC 5892 A.1 tells them apart. U+0627 joins to its right only, U+0628 on both sides. */
export function joiningClass(codePoint: number): JoiningClass {
  const character = String.fromCodePoint(codePoint);
  const left = matches('validZWNJ', `${character}\u200C\u0627`);
  const right = matches('validZWNJ', `\u0628\u200C${character}`);
  if (left) return right ? 'D' : 'L';
  if (right) return 'R';
  return matches('validZWNJ', `\u0628${character}\u200C\u0627`) ? 'T' : 'U';
}

/** Whether Canonical_Combining_Class is Virama (RFC 5892 A.1, A.2). */
export function viramaClass(codePoint: number): ViramaClass {
  return matches('combiningClassVirama', String.fromCodePoint(codePoint)) ? 'V' : 'N';
}

/** The scripts that RFC 5892 A.4 to A.7 ask for. */
export function scriptClass(codePoint: number): ScriptClass {
  const character = String.fromCodePoint(codePoint);
  if (/^\p{Script=Greek}$/u.test(character)) return 'G';
  if (/^\p{Script=Hebrew}$/u.test(character)) return 'H';
  return /^[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]$/u.test(character) ? 'K' : 'O';
}

function declare(name: string, meaning: string, classOf: (codePoint: number) => string): string {
  const lines = encodeCodePoints(classOf).match(/.{1,110}/g) ?? [];
  return `/** ${meaning} */\nexport const ${name} =\n${lines.map((line) => `  '${line}'`).join(' +\n')};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tables = [
    `// Frozen. Made by make-precis-tables.ts of Unicode ${process.versions['unicode'] ?? ''}; read by code-point-table.ts.\n`,
    declare('PRECIS_CLASSES', 'Derived property values, RFC 8264 8.', precisClass),
    declare('BIDI_CLASSES', 'Bidi classes for RFC 5893 2.', bidiClass),
    declare('JOINING_CLASSES', 'Joining types for RFC 5892 A.1.', joiningClass),
    declare('VIRAMA_CLASSES', 'Canonical combining class Virama for RFC 5892 A.1 and A.2.', viramaClass),
    declare('SCRIPT_CLASSES', 'Scripts for RFC 5892 A.4 to A.7.', scriptClass),
  ];
  writeFileSync(new URL('./precis-tables.ts', import.meta.url), tables.join('\n'));
}
