import { COLOURS, round, svgDocument, textElement } from './svg.ts';

/** One server's values. */
export interface Line {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const WIDTH = 760;
const HEIGHT = 340;
const LEFT = 60;
const RIGHT = 170;
const TOP = 40;
const BOTTOM = 50;

/** Lines over two logarithmic axes, each labelled at its powers of ten. */
export function linePlot(
  title: string,
  axes: { readonly x: string; readonly y: string },
  lines: readonly Line[],
): string {
  const points = lines.flatMap((line) => line.points);
  const xScale = logarithmicScale(
    points.map(({ x }) => x),
    LEFT,
    WIDTH - RIGHT,
  );
  const yScale = logarithmicScale(
    points.map(({ y }) => y),
    HEIGHT - BOTTOM,
    TOP,
  );
  const elements = [
    textElement({ x: 10, y: 20, text: title, isBold: true }),
    textElement({ x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 10, text: axes.x, anchor: 'middle' }),
    textElement({ x: 10, y: TOP - 6, text: axes.y }),
  ];
  for (const tick of xScale.ticks) {
    const x = round(xScale.at(tick));
    elements.push(`<path d="M${x} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`);
    elements.push(textElement({ x, y: HEIGHT - BOTTOM + 16, text: String(tick), anchor: 'middle' }));
  }
  for (const tick of yScale.ticks) {
    const y = round(yScale.at(tick));
    elements.push(`<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    elements.push(textElement({ x: LEFT - 6, y: y + 4, text: String(tick), anchor: 'end' }));
  }
  for (const { label, points: own } of lines) {
    const colour = COLOURS[label] ?? '#888';
    const path = own.map(({ x, y }) => `${round(xScale.at(x))} ${round(yScale.at(y))}`).join('L');
    elements.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2.5"/>`);
    for (const { x, y } of own) {
      elements.push(`<circle cx="${round(xScale.at(x))}" cy="${round(yScale.at(y))}" r="3.5" fill="${colour}"/>`);
    }
    const last = own.at(-1);
    if (last !== undefined) {
      elements.push(textElement({ x: xScale.at(last.x) + 8, y: yScale.at(last.y) + 4, text: label }));
    }
  }
  return svgDocument(WIDTH, HEIGHT, elements);
}

/** From the power of ten below the least value to the one above the greatest. */
function logarithmicScale(values: readonly number[], from: number, to: number) {
  const lowest = Math.floor(Math.log10(Math.min(...values)));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    ticks: Array.from({ length: highest - lowest + 1 }, (_, index) => 10 ** (lowest + index)),
    at: (value: number): number => from + ((Math.log10(value) - lowest) / (highest - lowest)) * (to - from),
  };
}
