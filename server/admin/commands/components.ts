import * as z from 'zod';

import { defineCommand, runningServer } from '../command.ts';
import type { ComponentSummary } from '../operations.ts';

export const componentList = defineCommand({
  name: 'component list',
  needs: 'server',
  summary: 'list external components, and which of them are connected',
  arguments: z.strictObject({}),
  run: (context): { readonly components: readonly ComponentSummary[] } => ({
    components: runningServer(context).components(),
  }),
  render: ({ components }) =>
    [
      ...components.map((component) =>
        [
          component.domain,
          component.address === undefined ? 'away' : `connected from ${component.address}`,
          `since ${new Date(component.since).toISOString()}`,
          ...(component.address === undefined
            ? []
            : [`received ${component.counts.received}`, `delivered ${component.counts.delivered}`]),
          ...(component.counts.queued === 0 ? [] : [`${component.counts.queued} unconfirmed`]),
        ].join('  '),
      ),
      `${components.filter(({ address }) => address !== undefined).length} of ${components.length} connected`,
    ].join('\n'),
});
