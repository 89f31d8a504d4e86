/** Colours of the servers, told apart in grey too, and by those who see few colours. */
export const COLOURS: Readonly<Record<string, string>> = {
  posthorn: '#0b6e4f',
  prosody: '#e08e0b',
  'prosody as installed': '#f3cd8b',
  ejabberd: '#7a4fb5',
  'ejabberd as installed': '#c6b2e2',
};

/** A text of a plot. */
export interface Text {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly isBold?: boolean;
}

/** Text, in the plot's one size. */
export function textElement({ x, y, text, anchor = 'start', isBold = false }: Text): string {
  const weight = isBold ? ` font-weight="bold"` : '';
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${weight}>${escapeText(text)}</text>`;
}

/** A whole picture on a white ground, readable on dark pages too. */
export function svgDocument(width: number, height: number, elements: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    ` font-family="sans-serif" font-size="12" fill="#222">\n`,
    `<rect width="100%" height="100%" fill="#fff"/>\n`,
    elements.join('\n'),
    `\n</svg>\n`,
  ].join('');
}

/** Coordinates need no more than tenths. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Text as XML. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
