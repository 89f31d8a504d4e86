// The dependency rule of docs/architecture.md: each layer imports only from the layers before it.
const layers = [
  ['stanzas', '^stanzas/'],
  ['config', '^config/'],
  ['storage', '^storage/'],
  ['cluster', '^server/cluster/'],
  ['routing', '^server/routing/'],
  ['sasl', '^server/sasl/'],
  ['streams', '^server/streams/'],
  ['federation', '^server/federation/'],
  ['module API and services', '^server/(module|module-loader|log|metrics|clock|version)\\.ts$|^server/services/'],
  ['modules', '^server/modules/'],
  ['http and admin', '^server/(http|admin)/'],
  ['server', '^server/(server|core|module-list|running-operations|shutdown|faults)\\.ts$'],
  ['main', '^server/main\\.ts$'],
];
const everywhere = '^server/((log|log-lines|clock)\\.ts$|metrics/)'; // ports that are passed in: types and small values only

module.exports = {
  forbidden: [
    ...layers.map(([name, path], index) => ({
      name: `${name} imports a later layer`,
      severity: 'error',
      from: { path, pathNot: everywhere },
      to: {
        path: layers
          .slice(index + 1)
          .map(([, later]) => later)
          .concat('^(test|bench)/'),
        pathNot: everywhere,
      },
    })),
    {
      name: 'a module imports its sibling',
      comment: 'Modules share typed services (server/services), never each other.',
      severity: 'error',
      from: { path: '^server/modules/([^/]+)' },
      to: { path: '^server/modules/', pathNot: '^server/modules/$1' },
    },
    {
      name: 'modules know no streams',
      severity: 'error',
      from: { path: '^server/(modules|services)/' },
      to: { path: '^server/(streams|sasl|federation)/' },
    },
    {
      name: 'streams know no database',
      severity: 'error',
      from: { path: '^server/(streams|federation|modules|services|http)/' },
      to: { path: '^storage/backends/|classic-level' },
    },
    {
      name: 'only main names a backend',
      severity: 'error',
      from: {
        path: '^(server|storage|config)/',
        pathNot: '^(server/main\\.ts|storage/storage\\.ts|storage/backends/)',
      },
      to: { path: '^storage/backends/|classic-level' },
    },
    {
      name: 'no cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no orphans from npm', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
