import { COLOURS, round, svgDocument, textElement } from './svg.ts';

/** Bars that belong together. */
export interface BarGroup {
  readonly title: string;
  readonly bars: readonly { readonly label: string; readonly value: number; readonly text: string }[];
}

const WIDTH = 760;
const BAR_HEIGHT = 15;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 70;
const TITLE_HEIGHT = 34;
const GROUP_GAP = 12;

/**
 * Horizontal bars in groups, each group on its own logarithmic scale that ends at its largest value: shorter is better, and
 * the same length is the same ratio in every group.
 * @param decades how many powers of ten the full width stands for
 */
export function barPlot(title: string, groups: readonly BarGroup[], decades: number): string {
  const elements: string[] = [textElement({ x: 10, y: 20, text: title, isBold: true })];
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  let y = TITLE_HEIGHT;
  for (const group of groups) {
    elements.push(textElement({ x: 10, y: y + 12, text: group.title }));
    y += 18;
    const largest = Math.max(...group.bars.map(({ value }) => value));
    for (const { label, value, text } of group.bars) {
      const share = Math.max(0.01, 1 + Math.log10(value / largest) / decades);
      const width = round(room * share);
      elements.push(textElement({ x: LABEL_WIDTH - 6, y: y + 12, text: label, anchor: 'end' }));
      elements.push(
        `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${width}" height="${BAR_HEIGHT - 3}" fill="${COLOURS[label] ?? '#888'}"/>`,
      );
      elements.push(textElement({ x: LABEL_WIDTH + width + 5, y: y + 12, text }));
      y += BAR_HEIGHT;
    }
    y += GROUP_GAP;
  }
  elements.push(textElement({ x: 10, y: y + 8, text: `logarithmic: the full width is a factor of ${10 ** decades}` }));
  return svgDocument(WIDTH, y + 18, elements);
}
