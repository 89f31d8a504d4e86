import { measureChat } from '../measurement.ts';
import { HISTORY_OFF, type Row, type Values } from '../row.ts';

const WINDOW = 8;

/** The same chat among more and more connections. */
export const GROWTH_ROWS: readonly Row[] = [
  {
    id: 'active',
    title: '1:1 chat, 8 in flight per pair, plaintext, history off, as active connections grow',
    note: 'every connection takes part; the goal compares Posthorn with itself at 100',
    setting: HISTORY_OFF,
    isFresh: false,
    users: ({ active }) => Math.max(...active),
    figures: ({ active }) => [
      ...active.map((count) => ({
        key: keyOf(count),
        label: `CPU us/message at ${count}`,
        better: 'less' as const,
      })),
      ...active.map((count) => ({
        key: generatorKeyOf(count),
        label: `generator us at ${count}`,
        better: 'less' as const,
        isAside: true,
      })),
    ],
    goals: ({ active: [base, ...larger] }) =>
      larger.map((count) => ({ kind: 'growth', figure: keyOf(count), base: keyOf(base ?? 0), atMost: 1.5 })),
    measure: async (context) => {
      const values: Record<string, number> = {};
      for (const count of context.scale.active) {
        const options = { pairs: count / 2, window: WINDOW, security: 'plaintext', pace: 'saturating' } as const;
        const measured: Values = await measureChat(context, options);
        values[keyOf(count)] = measured['processorUs'] ?? NaN;
        values[generatorKeyOf(count)] = measured['generatorUs'] ?? NaN;
      }
      return values;
    },
  },
];

function keyOf(count: number): string {
  return `processorUsAt${count}`;
}

function generatorKeyOf(count: number): string {
  return `generatorUsAt${count}`;
}
