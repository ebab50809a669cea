// How dist is made: the library with its worker and programs, and, outside the package, the benches.
import { defineConfig, type Options } from 'tsup'

const library = {
  index: 'src/index.ts',
  server: 'src/server.ts',
  helper: 'src/helper.ts',
  delegate: 'src/delegate.ts',
  thin: 'src/thin.ts',
  node: 'src/node.ts',
  plan: 'src/plan.ts',
  testing: 'src/testing.ts',
  train: 'src/train.ts',
}

const common: Options = {
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  // Every map holds the TypeScript it leads to, comments included: what runs can be read and stepped through.
  sourcemap: true,
  minify: true,
}

export default defineConfig([
  {
    ...common,
    entry: {
      ...library,
      // A file of its own, which scripts/package.mjs has every bundle begin with.
      kernels: 'src/kernels/wasm.generated.ts',
      // A page's worker. It shares the library's chunks: what bundles a page follows its imports or is told to.
      worker: 'src/worker.ts',
      cli: 'src/cli/main.ts',
      // What the tuners' worker threads run.
      'tune-thread': 'src/tune/workers/thread.node.ts',
      // What a helper's worker threads run.
      'dealer-thread': 'src/party/helper/dealer-thread.node.ts',
    },
    external: [/^node:/],
    // ringfence/testing hands out what is internal elsewhere, so nothing may be stripped.
    dts: { entry: library, compilerOptions: { stripInternal: false } },
    splitting: true,
  },
  {
    // Not part of the package. One file, because it starts itself again as its own processes.
    ...common,
    entry: {
      bench: 'bench/main.ts',
      'tune-thread': 'src/tune/workers/thread.node.ts',
      'dealer-thread': 'src/party/helper/dealer-thread.node.ts',
    },
    outDir: 'build/bench',
    external: [/^node:/, /^@tensorflow\//, 'esbuild', 'playwright-core'],
    splitting: false,
  },
  {
    // A party of the benches: split, so that each role's process loads only its own code.
    ...common,
    entry: { party: 'bench/processes/party.ts' },
    outDir: 'build/bench',
    external: [/^node:/],
    splitting: true,
  },
])
