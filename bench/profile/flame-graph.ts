import { escapeText, round, svgDocument } from '../plots/svg.ts';
import type { CallNode } from './cpu-profile.ts';

const WIDTH = 1200;
const ROW_HEIGHT = 17;
const CHARACTER_WIDTH = 6.4;
const LEAST_WIDTH = 0.5;
/** Colours by where the code lives. */
const OWN = '#e8915b';
const NODE = '#8fb7d9';
const NATIVE = '#b9b9b9';

/** A call tree as a flame graph: width is time, callers stand below what they call, hovering shows the whole name. */
export function flameGraph(tree: CallNode): string {
  const depth = depthOf(tree);
  const elements: string[] = [];
  const draw = (node: CallNode, x: number, level: number): void => {
    const width = (node.totalUs / tree.totalUs) * WIDTH;
    if (width < LEAST_WIDTH) return;
    const y = (depth - level - 1) * ROW_HEIGHT;
    const share = ((node.totalUs / tree.totalUs) * 100).toFixed(1);
    const shown = node.name.slice(0, Math.max(0, Math.floor((width - 4) / CHARACTER_WIDTH)));
    elements.push(
      `<g><title>${escapeText(node.name)}: ${share} %</title>` +
        `<rect x="${round(x)}" y="${y}" width="${round(width)}" height="${ROW_HEIGHT - 1}" fill="${colourOf(node.name)}"/>` +
        `<text x="${round(x + 2)}" y="${y + 12}">${escapeText(shown)}</text></g>`,
    );
    let at = x;
    for (const child of [...node.children.values()].sort((one, other) => other.totalUs - one.totalUs)) {
      draw(child, at, level + 1);
      at += (child.totalUs / tree.totalUs) * WIDTH;
    }
  };
  draw(tree, 0, 0);
  return svgDocument(WIDTH, depth * ROW_HEIGHT, elements);
}

function depthOf(node: CallNode): number {
  return 1 + Math.max(0, ...[...node.children.values()].map(depthOf));
}

function colourOf(name: string): string {
  if (name.includes(' node:')) return NODE;
  return / \S+:\d+$/.test(name) ? OWN : NATIVE;
}
