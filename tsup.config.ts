import { defineConfig, type Options } from 'tsup'

const library = {
  index: 'src/index.ts',
  server: 'src/server.ts',
  helper: 'src/helper.ts',
  node: 'src/node.ts',
  plan: 'src/plan.ts',
  testing: 'src/testing.ts',
}

const common: Options = {
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  sourcemap: false,
  // Names stay and lines are short, so that a stack trace can be read; the sources are in the repository.
  esbuildOptions(options) {
    options.minifyWhitespace = true
    options.minifySyntax = true
    options.lineLimit = 160
  },
}

export default defineConfig([
  {
    ...common,
    entry: {
      ...library,
      cli: 'src/cli/main.ts',
      bench: 'bench/main.ts',
      // What the tuners' worker threads run.
      'tune-thread': 'src/tune/workers/thread.node.ts',
    },
    // The loader only serves to instantiate; bundling it keeps the run-time dependencies few.
    noExternal: ['@assemblyscript/loader'],
    external: [/^node:/, /^@tensorflow\//, 'esbuild', 'playwright-core'],
    // ringfence/testing hands out what is internal elsewhere, so nothing may be stripped.
    dts: { entry: library, compilerOptions: { stripInternal: false } },
    splitting: true,
  },
  {
    // A worker's script must stand alone: bundlers copy it, but do not follow its imports.
    ...common,
    entry: { worker: 'src/worker.ts' },
    noExternal: [/^(?!ws$|node:)/],
    external: [/^node:/, 'ws'],
    splitting: false,
    minify: true,
  },
])
